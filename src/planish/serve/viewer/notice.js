// One line at the foot of the page, for what went wrong or was done; with a button where it can be tried again. And what
// only those hear who do not see the page.

const $ = (id) => document.getElementById(id);
let timer = 0;

export function say(message, { again = null, seconds = 0 } = {}) {
  clearTimeout(timer);
  $("notice-text").textContent = message;
  $("notice-again").hidden = !again;
  $("notice-again").onclick = again && (() => { hush(); again(); });
  $("notice").hidden = false;
  if (seconds) timer = setTimeout(hush, 1000 * seconds);
}

export function hush() {
  $("notice").hidden = true;
}

export function announce(message) {
  $("said").textContent = message;
}

$("notice-close").addEventListener("click", hush);

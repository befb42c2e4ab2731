// Where everything starts: what the address asks for is shown, list or slide; keys, theme, help, token.

import { hasToken, readSlide, setToken } from "./api.js";
import { actionOf, COMMON_KEYS, drawHelp, LIST_KEYS, SLIDE_KEYS } from "./keys.js";
import { parseLink } from "./link.js";
import { SlideList } from "./list.js";
import { hush, say } from "./notice.js";
import { SlideView } from "./slide.js";
import { startTheme, switchTheme } from "./theme.js";

const $ = (id) => document.getElementById(id);
const list = new SlideList();
const common = { theme: switchTheme, help: () => $("help").showModal() };
let slide = null;
let wanted = 0;

async function route() {
  const view = parseLink(location.hash);
  if (view.token) {
    setToken(view.token);
    history.replaceState(null, "", location.pathname + location.search);
  }
  hush();
  if (slide && slide.facts.id === view.slide) return slide.restore(view);
  slide?.destroy();
  slide = null;
  const turn = ++wanted;
  try {
    if (!view.slide) return await showList();
    const facts = await readSlide(view.slide);
    if (turn !== wanted) return;
    page("slide-view", facts.name);
    list.opened = facts.id;
    slide = new SlideView(facts, view, report);
  } catch (error) {
    if (turn !== wanted) return;
    page("list-view", "Slides");
    report(error);
    if (view.slide && error.status !== 401) await showList().catch(() => {});
  }
}

async function showList() {
  page("list-view", "Slides");
  await list.show();
}

function page(id, title) {
  for (const view of document.querySelectorAll(".view")) view.hidden = view.id !== id;
  document.title = `${title} · planish`;
}

// Say what went wrong; ask for the token where it is that.
function report(error, again = null) {
  if (error.name === "AbortError") return;
  if (error.status !== 401) return say(error.message, { again });
  $("token-text").textContent = hasToken()
    ? "The service did not accept the one it was given."
    : "Whoever runs the service can tell you.";
  if (!$("token").open) $("token").showModal();
}

$("token-form").addEventListener("submit", () => {
  setToken($("token-input").value.trim());
  $("token-input").value = "";
  route();
});

document.addEventListener("keydown", (event) => {
  if (document.querySelector("dialog[open]")) return;
  const shared = actionOf(event, COMMON_KEYS);
  const action = actionOf(event, slide ? SLIDE_KEYS : LIST_KEYS);
  if (!shared && !action) return;
  event.preventDefault();
  if (shared) common[shared]();
  else if (slide) slide.actions[action]();
  else list[action]();
});

for (const button of document.querySelectorAll("button.help")) button.addEventListener("click", common.help);
addEventListener("hashchange", route);
drawHelp($("help-keys"));
startTheme();
route();

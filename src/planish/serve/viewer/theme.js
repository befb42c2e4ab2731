// Light or dark: as the system has it, until somebody chooses.

const KEY = "planish-theme";
const DARK = matchMedia("(prefers-color-scheme: dark)");
const root = document.documentElement;

function dark() {
  return root.dataset.theme ? root.dataset.theme === "dark" : DARK.matches;
}

function draw() {
  for (const button of document.querySelectorAll("button.theme")) {
    button.textContent = dark() ? "Light" : "Dark";
    button.title = `${button.textContent} colours (d)`;
  }
}

export function switchTheme() {
  root.dataset.theme = dark() ? "light" : "dark";
  localStorage.setItem(KEY, root.dataset.theme);
  draw();
}

export function startTheme() {
  const chosen = localStorage.getItem(KEY);
  if (chosen === "light" || chosen === "dark") root.dataset.theme = chosen;
  DARK.addEventListener("change", draw);
  for (const button of document.querySelectorAll("button.theme")) button.addEventListener("click", switchTheme);
  draw();
}

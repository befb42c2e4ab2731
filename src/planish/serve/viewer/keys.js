// Every key of the viewer: what help shows is what works.

export const SLIDE_KEYS = [
  { keys: ["]", "PageUp", "shift+ArrowUp"], shown: "]  Page Up  Shift + ↑", words: "One plane up", action: "up" },
  { keys: ["[", "PageDown", "shift+ArrowDown"], shown: "[  Page Down  Shift + ↓", words: "One plane down", action: "down" },
  { keys: ["b"], shown: "b", words: "Best of all planes, and back", action: "best" },
  { keys: ["g"], shown: "g", words: "To the sharpest plane under the pointer", action: "goSharpest" },
  { keys: ["f"], shown: "f", words: "Focus map on and off", action: "map" },
  { keys: ["m"], shown: "m", words: "Focus map: plane, margin, sharpness", action: "nextLayer" },
  { keys: ["s"], shown: "s", words: "Plane and best, side by side", action: "side" },
  { keys: ["ArrowLeft"], shown: "← ↑ → ↓", words: "Move", action: "left" },
  { keys: ["ArrowRight"], action: "right" },
  { keys: ["ArrowUp"], action: "north" },
  { keys: ["ArrowDown"], action: "south" },
  { keys: ["+", "="], shown: "+  −", words: "Zoom in, out", action: "zoomIn" },
  { keys: ["-", "_"], action: "zoomOut" },
  { keys: ["0"], shown: "0", words: "Whole slide", action: "fit" },
  { keys: ["1"], shown: "1", words: "One image pixel per screen pixel", action: "full" },
  { keys: ["i"], shown: "i", words: "Label and other images of the slide", action: "images" },
  { keys: ["l"], shown: "l", words: "Copy a link to this view", action: "copyLink" },
  { keys: ["Escape"], shown: "Esc", words: "Back to the slides", action: "back" },
];

export const LIST_KEYS = [
  { keys: ["/"], shown: "/", words: "Search", action: "search" },
  { keys: ["ArrowDown", "ArrowRight"], shown: "← ↑ → ↓  Enter", words: "Choose and open a slide", action: "next" },
  { keys: ["ArrowUp", "ArrowLeft"], action: "previous" },
  { keys: ["Escape"], shown: "Esc", words: "Clear the search", action: "clear" },
];

export const COMMON_KEYS = [
  { keys: ["d"], shown: "d", words: "Light or dark", action: "theme" },
  { keys: ["?"], shown: "?", words: "This help", action: "help" },
];

const GESTURES = [
  ["Shift + wheel", "Through the planes"],
  ["Wheel, pinch", "Zoom"],
  ["Drag", "Move"],
];

// The action of a key event; null where the key belongs to the control that has the focus.
export function actionOf(event, table) {
  if (event.ctrlKey || event.metaKey || event.altKey) return null;
  const { target } = event;
  const text = target.matches("input:not([type=range]), textarea");
  if (text && event.key !== "Escape") return null;
  if (target.matches("input[type=range]") && /^(Arrow|Page)/.test(event.key)) return null;
  if (target.matches("section") && target.scrollHeight > target.clientHeight && /^(Arrow|Page)/.test(event.key)) return null;
  const name = event.shiftKey && event.key.startsWith("Arrow") ? `shift+${event.key}` : event.key;
  return table.find(({ keys }) => keys.includes(name))?.action ?? null;
}

export function drawHelp(parent) {
  const rest = document.createElement("div");
  rest.append(section("Mouse and touch", GESTURES), tableOf("Slides", LIST_KEYS), tableOf("Everywhere", COMMON_KEYS));
  parent.replaceChildren(tableOf("Slide", SLIDE_KEYS), rest);
}

function tableOf(title, table) {
  return section(title, table.filter(({ shown }) => shown).map(({ shown, words }) => [shown, words]));
}

function section(title, rows) {
  const part = document.createElement("section");
  part.append(element("h3", title));
  const list = part.appendChild(document.createElement("dl"));
  for (const [shown, words] of rows) list.append(element("dt", shown), element("dd", words));
  return part;
}

function element(tag, text) {
  const made = document.createElement(tag);
  made.textContent = text;
  return made;
}

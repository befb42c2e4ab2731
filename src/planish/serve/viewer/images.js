// The other images that a slide holds: thumbnail, label, macro; read when the panel is first opened.

import { pictureUrl, readPicture } from "./api.js";

const $ = (id) => document.getElementById(id);

export class Images {
  constructor(facts) {
    this.facts = facts;
    this.stop = new AbortController();
    const { associated, withheld } = facts;
    $("images").hidden = !associated.length && !withheld.length;
    $("images-list").replaceChildren();
    $("images-withheld").hidden = !withheld.length;
    $("images-withheld").textContent = withheldText(withheld);
    this.show(false);
  }

  get shown() {
    return !$("images-panel").hidden;
  }

  toggle() {
    if ($("images").hidden) return;
    if (this.shown) return this.close();
    this.show(true);
    $("images-panel").focus();
  }

  show(shown) {
    $("images-panel").hidden = !shown;
    $("images").setAttribute("aria-expanded", shown);
    if (shown && !$("images-list").children.length) $("images-list").append(...this.facts.associated.map((name) => this.#figure(name)));
  }

  close() {
    this.show(false);
    $("images").focus();
  }

  #figure(name) {
    const figure = document.createElement("figure");
    const caption = figure.appendChild(document.createElement("figcaption"));
    caption.textContent = capital(name);
    readPicture(pictureUrl(this.facts, `/associated/${encodeURIComponent(name)}`), this.stop.signal).then(
      ({ canvas }) => {
        canvas.setAttribute("role", "img");
        canvas.setAttribute("aria-label", `${capital(name)} of the slide`);
        figure.prepend(canvas);
      },
      (error) => {
        if (error.name === "AbortError") return;
        caption.textContent = `${capital(name)}: ${error.message}`;
        caption.className = "wrong";
      },
    );
    return figure;
  }

  destroy() {
    this.stop.abort();
    this.show(false);
  }
}

function withheldText(names) {
  const [are, they] = names.length === 1 ? ["is", "it"] : ["are", "they"];
  return `${capital(names.join(" and "))} ${are} withheld: ${they} can show names.`;
}

function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

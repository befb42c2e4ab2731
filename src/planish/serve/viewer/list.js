// The list of slides, with thumbnails and a search.

import { listSlides, pictureUrl, readPicture, readSlide } from "./api.js";
import { factsText } from "./scale.js";

const $ = (id) => document.getElementById(id);
const WIDTH = 112;
const HEIGHT = 84;

export class SlideList {
  constructor() {
    this.cards = [];
    this.opened = null;
    this.seen = new IntersectionObserver((entries) => this.#load(entries), { rootMargin: "200px" });
    $("search").addEventListener("input", () => this.#filter());
  }

  async show() {
    const slides = await listSlides();
    this.seen.disconnect();
    this.cards = slides.map((slide) => this.#card(slide));
    $("slides").replaceChildren(...this.cards.map(({ item }) => item));
    for (const card of this.cards) {
      if (card.slide.problem) fail(card, card.slide.problem);
      else this.seen.observe(card.canvas);
    }
    this.#filter();
    this.cards.find(({ slide }) => slide.id === this.opened)?.link.focus();
  }

  #card(slide) {
    const item = document.createElement("li");
    const link = item.appendChild(document.createElement("a"));
    link.href = `#${new URLSearchParams({ slide: slide.id })}`;
    const canvas = link.appendChild(document.createElement("canvas"));
    canvas.width = 2 * WIDTH;
    canvas.height = 2 * HEIGHT;
    const text = link.appendChild(document.createElement("span"));
    const [, folder, name] = /^(.*\/)?(.*)$/s.exec(slide.name);
    if (folder) text.append(span("folder", folder));
    text.append(span("title", name));
    const facts = text.appendChild(span("quiet", factsText(slide)));
    return { slide, item, link, canvas, facts };
  }

  #load(entries) {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      this.seen.unobserve(target);
      fill(this.cards.find(({ canvas }) => canvas === target));
    }
  }

  #filter() {
    const words = $("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const { item, slide } of this.cards) item.hidden = !words.every((word) => slide.name.toLowerCase().includes(word));
    const shown = this.cards.filter(({ item }) => !item.hidden).length;
    const all = this.cards.length;
    $("count").textContent = shown === all ? `${all} ${all === 1 ? "slide" : "slides"}` : `${shown} of ${all}`;
    $("empty").hidden = shown > 0;
    $("empty").textContent = all ? "No slide has a name like this." : "There are no slides in the folder that is served.";
  }

  search() {
    $("search").focus();
  }

  clear() {
    $("search").value = "";
    this.#filter();
  }

  next() {
    this.#step(1);
  }

  previous() {
    this.#step(-1);
  }

  #step(by) {
    const links = this.cards.filter(({ item }) => !item.hidden).map(({ link }) => link);
    const at = links.indexOf(document.activeElement);
    links[at < 0 ? 0 : Math.min(links.length - 1, Math.max(0, at + by))]?.focus();
  }
}

function span(name, text) {
  const made = document.createElement("span");
  made.className = name;
  made.textContent = text;
  return made;
}

async function fill(card) {
  try {
    draw((await readPicture(pictureUrl(card.slide, "/thumbnail"))).canvas, card.canvas);
    // The list does not wait for slides that take their time.
    if (!card.slide.planes) card.facts.textContent = factsText(await readSlide(card.slide.id));
  } catch (error) {
    fail(card, error.message);
  }
}

function fail({ canvas, facts }, message) {
  canvas.classList.add("failed");
  facts.replaceChildren(span("wrong", message));
}

function draw(picture, canvas) {
  const scale = Math.min(canvas.width / picture.width, canvas.height / picture.height);
  const [width, height] = [picture.width * scale, picture.height * scale];
  const context = canvas.getContext("2d");
  context.drawImage(picture, (canvas.width - width) / 2, (canvas.height - height) / 2, width, height);
}

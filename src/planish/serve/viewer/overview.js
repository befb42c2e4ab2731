// The whole slide, small, with a frame around what is seen; a press moves there. Hidden where all is seen.

import { readPicture, pictureUrl } from "./api.js";

const SIDE = 150;

export class Overview {
  constructor(element, facts, moved) {
    Object.assign(this, { element, facts });
    this.frame = element.querySelector(".frame");
    const scale = SIDE / Math.max(facts.width, facts.height);
    this.width = Math.max(1, facts.width * scale);
    this.height = Math.max(1, facts.height * scale);
    element.style.width = `${this.width}px`;
    element.style.height = `${this.height}px`;
    this.stop = new AbortController();
    const { signal } = this.stop;
    element.addEventListener("pointerdown", (event) => element.setPointerCapture(event.pointerId), { signal });
    for (const kind of ["pointerdown", "pointermove"]) {
      element.addEventListener(kind, (event) => event.buttons && moved(this.#place(event)), { signal });
    }
  }

  async load() {
    const { canvas: picture } = await readPicture(pictureUrl(this.facts, "/thumbnail"), this.stop.signal);
    const canvas = this.element.querySelector("canvas");
    canvas.width = this.width * 2;
    canvas.height = this.height * 2;
    canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
    this.loaded = true;
    this.update(this.bounds);
  }

  #place(event) {
    const box = this.element.getBoundingClientRect();
    const part = (position, length) => Math.min(1, Math.max(0, position / length));
    return {
      x: part(event.clientX - box.left, box.width) * this.facts.width,
      y: part(event.clientY - box.top, box.height) * this.facts.height,
    };
  }

  // Bounds in viewport units: 1 = the slide's width.
  update(bounds) {
    this.bounds = bounds;
    const whole = !bounds || (bounds.x <= 0 && bounds.y <= 0 && bounds.width >= 1 && bounds.height >= this.height / this.width);
    this.element.hidden = !this.loaded || whole;
    if (this.element.hidden) return;
    const { style } = this.frame;
    const clip = (value, limit) => Math.min(limit, Math.max(0, value * this.width));
    const [left, right] = [bounds.x, bounds.x + bounds.width].map((x) => clip(x, this.width));
    const [top, bottom] = [bounds.y, bounds.y + bounds.height].map((y) => clip(y, this.height));
    style.transform = `translate(${left}px, ${top}px)`;
    style.width = `${right - left}px`;
    style.height = `${bottom - top}px`;
  }

  destroy() {
    this.stop.abort();
    this.element.hidden = true;
  }
}

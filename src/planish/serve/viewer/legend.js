// The legend of the focus map, and which of its layers is shown.

import { layerHint, layerTicks, layerTitle, unitOf, zLabel } from "./layers.js";
import { planeText } from "./scale.js";

const LABELLED = 11; // swatches that each carry their z; of more, some do

export class Legend {
  constructor(panel, facts, cells) {
    Object.assign(this, { panel, facts, cells, layer: null, colours: [] });
  }

  show(layer) {
    if (this.layer === layer) return;
    this.layer = layer;
    this.#part(".legend-title").textContent = layerTitle(layer, this.facts, this.cells);
    const hint = layerHint(layer, this.cells);
    this.#part(".legend-hint").textContent = hint;
    this.#part(".legend-hint").hidden = !hint;
    const planes = layer === "plane";
    this.#part(".swatches").hidden = !planes;
    this.#part(".ramp").hidden = planes;
    this.colours = planes ? this.#drawPlanes() : this.#drawRamp();
  }

  // Marks what the cell under the pointer has; null where there is none.
  point(cell) {
    const value = cell?.[this.layer] ?? null;
    const { length } = this.colours;
    const at = this.layer === "plane" || value === null ? value : Math.round(unitOf(value, this.#scale) * (length - 1));
    this.colours.forEach((colour, index) => colour.classList.toggle("here", index === at));
  }

  get #scale() {
    return this.cells.legend[this.layer];
  }

  #part(name) {
    return this.panel.querySelector(name);
  }

  #drawPlanes() {
    const every = Math.ceil(this.facts.planes.length / LABELLED);
    const blocks = this.#scale.colours.map(block);
    const swatches = this.facts.planes.map((plane, index) => {
      const made = document.createElement("li");
      made.append(blocks[index], index % every ? "" : zLabel(this.facts, plane));
      made.title = planeText(plane);
      return made;
    });
    this.#part(".swatches").replaceChildren(...swatches);
    return blocks;
  }

  #drawRamp() {
    const blocks = this.#scale.colours.map(block);
    this.#part(".colours").replaceChildren(...blocks);
    const ticks = layerTicks(this.layer, this.#scale).map((text) => {
      const made = document.createElement("span");
      made.textContent = text;
      return made;
    });
    this.#part(".ticks").replaceChildren(...ticks);
    return blocks;
  }
}

function block(colour) {
  const made = document.createElement("i");
  made.style.backgroundColor = colour;
  return made;
}

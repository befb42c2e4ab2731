// The focus map: which plane is sharpest in each cell, laid over the slide, with its legend.

import { planeText, zText } from "./scale.js";
import { focusTiles } from "./tiles.js";

const LABELLED = 11; // swatches that each carry their z; of more, some do

export class FocusMap {
  constructor(facts, cells, panel) {
    Object.assign(this, { facts, cells, panel, item: null, opacity: 0, pane: null });
    this.#drawLegend();
  }

  // The plane of the cell at a place in level-0 pixels; null on glass.
  planeAt({ x, y }) {
    const column = Math.min(Math.floor(x / this.cells.cell_width), this.cells.plane[0].length - 1);
    const row = Math.min(Math.floor(y / this.cells.cell_height), this.cells.plane.length - 1);
    const glass = this.cells.how[row][column] === this.cells.how_values.glass;
    return glass ? null : this.cells.plane[row][column];
  }

  show(pane, opacity) {
    this.opacity = opacity;
    this.panel.hidden = !opacity;
    if (!this.pane && opacity) this.#load(pane);
    this.item?.setOpacity(opacity);
  }

  #load(pane) {
    this.pane = pane;
    pane.osd.addTiledImage({
      tileSource: focusTiles(this.facts),
      x: 0,
      y: 0,
      width: 1,
      opacity: this.opacity,
      success: ({ item }) => {
        this.item = item;
        item.setOpacity(this.opacity);
      },
    });
  }

  point(plane) {
    [...this.panel.querySelectorAll("li")].forEach((swatch, index) => swatch.classList.toggle("here", index === plane));
  }

  #drawLegend() {
    const known = this.facts.planes.every((plane) => plane.z_um !== null);
    this.panel.querySelector(".legend-title").textContent = known ? "Sharpest plane, z in µm" : "Sharpest plane, 0 lowest";
    const { colours } = this.cells.legend.plane;
    const every = Math.ceil(colours.length / LABELLED);
    const swatches = this.facts.planes.map((plane) => {
      const swatch = document.createElement("li");
      const colour = document.createElement("i");
      colour.style.backgroundColor = colours[plane.index];
      const label = known ? zText(plane.z_um).replace(" µm", "") : String(plane.index);
      swatch.append(colour, plane.index % every ? "" : label);
      swatch.title = planeText(plane);
      return swatch;
    });
    this.panel.querySelector(".swatches").replaceChildren(...swatches);
  }
}

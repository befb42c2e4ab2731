// The focus map, laid over the slide: which plane is sharpest in each cell, how far it is ahead, how sharp it is.

import { Legend } from "./legend.js";
import { focusTiles } from "./tiles.js";

export class FocusMap {
  constructor(facts, cells, panel) {
    Object.assign(this, { facts, cells, panel, items: new Map(), layer: "plane", opacity: 0 });
    this.legend = new Legend(panel, facts, cells);
  }

  // What is known of the cell at a place in level-0 pixels; null on glass.
  at({ x, y }) {
    const { cell_width, cell_height, plane, margin, sharpness, how, how_values } = this.cells;
    const column = Math.min(Math.floor(x / cell_width), plane[0].length - 1);
    const row = Math.min(Math.floor(y / cell_height), plane.length - 1);
    if (how[row][column] === how_values.glass) return null;
    return { plane: plane[row][column], margin: margin[row][column], sharpness: sharpness[row][column] };
  }

  show(pane, layer, opacity) {
    Object.assign(this, { layer, opacity });
    this.panel.hidden = !opacity;
    this.legend.show(layer);
    if (opacity && !this.items.has(layer)) this.#load(pane, layer);
    for (const [each, item] of this.items) item?.setOpacity(each === layer ? opacity : 0);
    this.#tell();
  }

  #load(pane, layer) {
    this.items.set(layer, null);
    pane.osd.addTiledImage({
      tileSource: focusTiles(this.facts, layer),
      x: 0,
      y: 0,
      width: 1,
      opacity: layer === this.layer ? this.opacity : 0,
      success: ({ item }) => {
        this.items.set(layer, item);
        item.setOpacity(layer === this.layer ? this.opacity : 0);
        item.addHandler("fully-loaded-change", () => this.#tell());
      },
    });
  }

  // Whether all that is shown of it is there.
  #tell() {
    this.panel.dataset.layer = this.layer;
    this.panel.dataset.whole = Boolean(this.items.get(this.layer)?.getFullyLoaded());
  }

  point(cell) {
    this.legend.point(cell);
  }
}

// Scale bar, magnification, and what lies under the pointer.

import { lengthText, magnificationText, planeText, scaleBar } from "./scale.js";

const $ = (id) => document.getElementById(id);
const TARGET = 150; // screen pixels of the scale bar at most

export class Readouts {
  constructor(facts) {
    this.facts = facts;
    this.plane = undefined;
    this.cell(null);
  }

  // `zoom` in screen pixels per level-0 pixel.
  scale(zoom) {
    const unit = this.facts.mpp_x || 1;
    const { length, pixels } = scaleBar(unit / zoom, TARGET);
    $("scale").querySelector(".scale-text").textContent = this.facts.mpp_x ? lengthText(length) : `${length} px`;
    $("scale").querySelector(".scale-line").style.width = `${pixels}px`;
    $("scale").dataset.pixels = pixels;
    $("magnification").textContent = magnificationText(this.facts, zoom);
  }

  // `found` is what the map knows of the cell there: null on glass, undefined where there is no map. `more` is said of it.
  cell(place, found, more = "") {
    this.plane = found?.plane;
    const button = $("cell");
    button.hidden = !place;
    if (!place) return;
    button.disabled = this.plane === undefined;
    button.title = button.disabled ? "" : "Go to that plane (g)";
    button.textContent = [this.#at(place), this.#sharpest(found), more].filter(Boolean).join("  ·  ");
  }

  #at({ x, y }) {
    const { mpp_x, mpp_y } = this.facts;
    const whole = (value) => Math.round(value).toLocaleString("en");
    return mpp_x ? `x ${whole(x * mpp_x)}, y ${whole(y * (mpp_y || mpp_x))} µm` : `x ${whole(x)}, y ${whole(y)} px`;
  }

  #sharpest(found) {
    if (found === undefined) return "";
    return found === null ? "glass" : `sharpest here: ${planeText(this.facts.planes[found.plane])}`;
  }
}

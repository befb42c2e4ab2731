// The address of a view: what stands behind # says slide, plane, place, magnification, overlay and layout.

import { LAYERS } from "./layers.js";

const NUMBERS = ["x", "y", "zoom", "overlay"];

export function parseLink(hash) {
  const fields = new URLSearchParams(hash.replace(/^#/, ""));
  const view = { slide: fields.get("slide"), token: fields.get("token"), side: fields.get("side") === "1" };
  for (const name of NUMBERS) {
    const number = fields.has(name) ? Number(fields.get(name)) : NaN;
    view[name] = Number.isFinite(number) ? number : null;
  }
  const plane = fields.get("plane");
  view.best = plane === "best";
  view.plane = plane && /^\d+$/.test(plane) ? Number(plane) : null;
  const layer = fields.get("layer");
  view.layer = LAYERS.includes(layer) ? layer : LAYERS[0];
  return view;
}

export function formatLink(view) {
  const fields = new URLSearchParams({ slide: view.slide, plane: view.best && !view.side ? "best" : String(view.plane) });
  fields.set("x", view.x.toFixed(0));
  fields.set("y", view.y.toFixed(0));
  fields.set("zoom", String(Number(view.zoom.toPrecision(4))));
  if (view.overlay) fields.set("overlay", view.overlay.toFixed(2));
  if (view.overlay && view.layer !== LAYERS[0]) fields.set("layer", view.layer);
  if (view.side) fields.set("side", "1");
  return `#${fields}`;
}

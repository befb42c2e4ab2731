// What a focus map can show of each cell: its sharpest plane, how far that is ahead of the next, and how sharp it is.

import { zText } from "./scale.js";

export const LAYERS = ["plane", "margin", "sharpness"];
const SHORT = new Intl.NumberFormat("en", { maximumSignificantDigits: 2, notation: "compact" });

export function layerTitle(layer, facts, cells) {
  if (layer === "margin") return "Lead of the sharpest plane over the next";
  if (layer === "sharpness") return `Sharpness score${cells.scorer ? ` (${cells.scorer})` : ""}`;
  return zKnown(facts) ? "Sharpest plane, z in µm" : "Sharpest plane, 0 lowest";
}

// Along a ramp of colours; what lies beyond the ends of a scale has their colours.
export function layerTicks(layer, { low, high, log }) {
  if (layer === "margin") return ["0 %: as sharp", percent((low + high) / 2), high < 1 ? `≥ ${percent(high)}` : percent(high)];
  const middle = log ? Math.sqrt(low * high) : (low + high) / 2;
  return [`≤ ${SHORT.format(low)}`, SHORT.format(middle), `≥ ${SHORT.format(high)}`];
}

export function layerHint(layer, cells) {
  if (layer === "plane") return "";
  const { how, how_values } = cells;
  const values = cells[layer].flatMap((row, at) => row.filter((_, column) => how[at][column] !== how_values.glass));
  const scored = values.filter((value) => value !== null).length;
  if (scored === values.length) return "";
  return scored ? "Paler: not scored, as the nearest that was" : "No cell was scored.";
}

// 0 to 1, as the service colours it.
export function unitOf(value, { low, high, log }) {
  const spread = log ? Math.log : (each) => each;
  const inside = Math.min(high, Math.max(low, value));
  return high > low ? (spread(inside) - spread(low)) / (spread(high) - spread(low)) : 0;
}

export function valueText(layer, value) {
  if (layer === "plane" || value === undefined) return "";
  if (value === null) return `${layer} not scored`;
  return layer === "margin" ? `margin ${percent(value)}` : `sharpness ${SHORT.format(value)}`;
}

function percent(part) {
  return `${Number((100 * part).toPrecision(2))} %`;
}

export function zKnown(facts) {
  return facts.planes.every((plane) => plane.z_um !== null);
}

export function zLabel(facts, plane) {
  return zKnown(facts) ? zText(plane.z_um).replace(" µm", "") : String(plane.index);
}

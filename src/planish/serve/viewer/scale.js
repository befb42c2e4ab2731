// Lengths, magnifications and depths in words.

// The longest round length that fits into `target` screen pixels.
export function scaleBar(unitsPerPixel, target) {
  const longest = unitsPerPixel * target;
  const decade = 10 ** Math.floor(Math.log10(longest));
  const length = [5, 2, 1].map((step) => step * decade).find((each) => each <= longest * (1 + 1e-9));
  return { length, pixels: length / unitsPerPixel };
}

export function lengthText(microns) {
  return microns >= 1000 ? `${plain(microns / 1000)} mm` : `${plain(microns)} µm`;
}

// Without the noise of binary fractions, nor trailing zeros.
function plain(number) {
  return String(Number(number.toPrecision(12)));
}

// What an objective would show: its power at one image pixel per screen pixel. Where it is unknown, 10 µm over the pixel size.
export function magnificationText(facts, zoom) {
  const power = facts.objective_power || (facts.mpp_x ? 10 / facts.mpp_x : null);
  if (!power) return `${Math.round(zoom * 100)} %`;
  const shown = power * zoom;
  return `${shown >= 9.95 ? Math.round(shown) : shown.toFixed(1)}×`;
}

export function zText(z) {
  return z === null || z === undefined ? "" : `${Number(z.toFixed(2))} µm`.replace("-", "−");
}

export function planeText(plane) {
  const z = zText(plane.z_um);
  return z ? `z ${z} · plane ${plane.index}` : `plane ${plane.index}`;
}

// As far as it is known: a list tells less than a slide that was opened.
export function factsText(facts) {
  const count = facts.planes?.length ?? facts.planes;
  const parts = [];
  if (count) parts.push(count === 1 ? "1 plane" : `${count} planes`);
  if (facts.width) parts.push(`${facts.width.toLocaleString("en")} × ${facts.height.toLocaleString("en")} px`);
  if (facts.mpp_x) parts.push(`${Number(facts.mpp_x.toFixed(4))} µm/px`);
  return parts.join(" · ");
}

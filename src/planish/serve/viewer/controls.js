// The controls around a slide, drawn from what is shown.

import { factsText, planeText, zText } from "./scale.js";
import { progressText } from "./survey.js";

const $ = (id) => document.getElementById(id);

export function drawSlide(facts) {
  $("name").textContent = facts.name;
  $("name").title = facts.name;
  $("facts").textContent = factsText(facts);
  for (const id of ["z", "best", "map", "side"]) $(id).hidden = facts.planes.length === 1;
  $("slider").max = facts.planes.length - 1;
}

export function drawButtons({ best, side, overlay, layer }, opacity) {
  const pressed = { best: best && !side, map: overlay > 0, side };
  for (const [id, on] of Object.entries(pressed)) $(id).setAttribute("aria-pressed", on);
  for (const button of $("legend").querySelectorAll("[data-layer]")) button.setAttribute("aria-pressed", button.dataset.layer === layer);
  $("opacity").value = Math.round(100 * (overlay || opacity));
}

export function drawSurvey(facts) {
  $("survey").hidden = facts.state !== "working";
  $("survey-text").textContent = progressText(facts);
  if (facts.total) Object.assign($("survey-bar"), { max: facts.total, value: facts.done });
  else $("survey-bar").removeAttribute("value");
}

export function drawSlider(planes, index, key) {
  const plane = planes[index];
  const resting = key === "best";
  $("slider").value = index;
  $("slider").setAttribute("aria-valuetext", planeText(plane));
  $("z-text").textContent = resting ? "best" : zText(plane.z_um) || `plane ${index}`;
  $("z").classList.toggle("resting", resting);
  $("up").disabled = !resting && index === planes.length - 1;
  $("down").disabled = !resting && index === 0;
}

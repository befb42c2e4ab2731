// One slide: what is shown of it, and the controls that say so.

import { makeActions } from "./actions.js";
import { readFocus } from "./api.js";
import { drawButtons, drawSlide, drawSlider, drawSurvey } from "./controls.js";
import { FocusMap } from "./focusmap.js";
import { Images } from "./images.js";
import { Job } from "./job.js";
import { valueText } from "./layers.js";
import { formatLink } from "./link.js";
import { Overview } from "./overview.js";
import { Pane } from "./pane.js";
import { Readouts } from "./readouts.js";
import { planeText } from "./scale.js";
import { Survey } from "./survey.js";

const $ = (id) => document.getElementById(id);
const OPACITY = 0.5;
const SETTLED = 250; // ms until the address follows the view
const WHEEL = 40; // wheel units per plane; touchpads send many small ones

export class SlideView {
  constructor(facts, view, report) {
    Object.assign(this, { facts, report, stop: new AbortController(), focus: null, map: null, right: null, wheel: 0, again: null, keyed: false, wanted: null });
    this.planes = facts.planes.length;
    this.state = { best: false, overlay: 0, layer: "plane", side: false, plane: this.planes >> 1 };
    this.opacity = OPACITY;
    this.survey = new Survey(facts.id, (told) => this.#surveyed(told));
    this.left = this.#pane("Slide");
    this.active = this.left;
    this.readouts = new Readouts(facts);
    this.overview = new Overview($("overview"), facts, (place) => this.active.goTo({ ...place, zoom: null }));
    this.overview.load().catch(report);
    this.images = new Images(facts);
    this.job = new Job(facts, report);
    drawSlide(facts);
    this.actions = makeActions(this);
    this.#listen();
    this.left.osd.world.addOnceHandler("add-item", () => setTimeout(() => this.#restoreView(view)));
    this.restore(view);
    if (this.planes > 1) this.survey.look().catch(report);
    $("name").focus();
  }

  #pane(label) {
    const pane = new Pane($("panes"), this.facts, label);
    pane.words = (key) => (key === "best" ? `Best of ${this.planes} planes` : planeText(this.facts.planes[Number(key)]));
    for (const kind of ["pointerenter", "pointerdown", "focusin"]) {
      pane.element.addEventListener(kind, () => this.#lead(pane), { capture: true });
    }
    pane.image.addEventListener("pointermove", (event) => this.#point(pane, pane.place(event)));
    pane.image.addEventListener("pointerdown", (event) => this.#point(pane, pane.place(event)));
    pane.image.addEventListener("pointerleave", () => this.#other(pane)?.markAt(null));
    pane.osd.addHandler("viewport-change", () => this.#moved(pane));
    pane.osd.addHandler("resize", () => setTimeout(() => this.#resized()));
    pane.osd.addHandler("tile-load-failed", (event) => this.#failed(event));
    return pane;
  }

  #listen() {
    const on = (id, kind, act) => $(id).addEventListener(kind, act, { signal: this.stop.signal });
    for (const button of document.querySelectorAll("#slide-view [data-action]")) {
      button.addEventListener("click", () => this.actions[button.dataset.action](), { signal: this.stop.signal });
    }
    for (const button of $("legend").querySelectorAll("[data-layer]")) {
      button.addEventListener("click", () => this.set({ layer: button.dataset.layer }), { signal: this.stop.signal });
    }
    on("slider", "input", () => this.goToPlane(Number($("slider").value)));
    on("opacity", "input", () => this.set({ overlay: (this.opacity = $("opacity").value / 100) }));
    const options = { signal: this.stop.signal, capture: true, passive: false };
    $("panes").addEventListener("wheel", (event) => this.#turn(event), options);
  }

  // Shift turns the wheel into one for planes; browsers then swap its axes or not.
  #turn(event) {
    if (!event.shiftKey) return;
    event.preventDefault();
    event.stopPropagation();
    const lines = event.deltaMode === WheelEvent.DOM_DELTA_PIXEL ? 1 : WHEEL;
    this.wheel += (event.deltaY || event.deltaX) * lines;
    const steps = Math.trunc(this.wheel / WHEEL);
    this.wheel -= steps * WHEEL;
    if (steps) this.goToPlane(this.state.plane - Math.sign(steps));
  }

  restore(view) {
    const plane = Math.min(view.plane ?? this.state.plane, this.planes - 1);
    const many = this.planes > 1;
    const overlay = many ? clamp(view.overlay ?? 0) : 0;
    this.set({ plane, best: many && view.best, side: many && view.side, overlay, layer: view.layer });
    if (this.left.shown !== null) this.#restoreView(view);
  }

  #restoreView(view) {
    this.wanted = view;
    this.active.goTo(view);
    this.#moved(this.active);
  }

  // A second pane may have halved the first one just before it was told where to go.
  #resized() {
    if (this.wanted) this.active.goTo(this.wanted);
    this.#moved(this.active);
  }

  set(change) {
    Object.assign(this.state, change);
    const { best, side, overlay } = this.state;
    if ((best || side || overlay) && !this.survey.ready) this.#begin();
    this.#draw();
    this.#remember();
  }

  #begin() {
    const wanted = { ...this.state };
    this.again = () => this.set(wanted);
    this.survey.begin().catch((error) => this.#giveUp(error));
  }

  #giveUp(error) {
    this.set({ best: false, side: false, overlay: 0 });
    this.report(error, this.again);
  }

  #surveyed(told) {
    if (told.state === "failed" && this.again) {
      this.#giveUp(new Error(`The planes could not be surveyed: ${told.message || told.reason || "no reason was given"}`));
    }
    if (told.state === "ready") {
      this.again = null;
      this.map ??= this.#loadMap(); // it may be told more than once
    }
    this.#draw();
  }

  #loadMap() {
    return readFocus(this.facts.id).then((cells) => {
      if (this.stop.signal.aborted) return;
      this.focus = new FocusMap(this.facts, cells, $("legend"));
      this.#draw();
    }, this.report);
  }

  #draw() {
    if (this.stop.signal.aborted) return;
    const { plane, best, side, overlay, layer } = this.state;
    const ready = this.survey.ready;
    const key = best && !side && ready ? "best" : String(plane);
    this.left.planes.show(key, this.#near(key));
    this.#drawRight(side && ready);
    this.focus?.show(this.left, layer, overlay);
    if (!overlay) $("legend").hidden = true;
    drawButtons(this.state, this.opacity);
    drawSurvey(this.survey.facts);
    drawSlider(this.facts.planes, plane, key);
  }

  #near(key) {
    const { plane } = this.state;
    const planes = key === "best" ? [plane] : [plane + 1, plane - 1].filter((each) => each >= 0 && each < this.planes);
    return [...planes.map(String), ...(this.survey.ready && !this.state.side ? ["best"] : [])];
  }

  #drawRight(shown) {
    $("panes").classList.toggle("two", shown);
    if (shown && !this.right) {
      this.right = this.#pane("Best of all planes");
      this.right.osd.world.addOnceHandler("add-item", () => setTimeout(() => this.right?.follow(this.left)));
      this.right.planes.show("best", []);
    } else if (!shown && this.right) {
      if (this.active === this.right) this.active = this.left;
      this.right.destroy();
      this.right = null;
      this.left.markAt(null);
    }
  }

  #lead(pane) {
    if (this.active === pane) return;
    this.active = pane;
    this.#moved(pane);
  }

  #other(pane) {
    return pane === this.left ? this.right : this.left;
  }

  #moved(pane) {
    if (pane !== this.active || !pane.osd.world.getItemCount()) return;
    const other = this.#other(pane);
    if (other?.osd.world.getItemCount()) other.follow(pane);
    this.readouts.scale(pane.zoom);
    this.overview.update(pane.osd.viewport.getBounds(true));
    if (this.keyed) this.#pointCentre();
    this.#remember();
  }

  // `place` is under the pointer, or the middle of the view where keys move it.
  #point(pane, place, keyed = false) {
    this.keyed = keyed;
    this.#other(pane)?.markAt(place);
    pane.markAt(keyed ? place : null);
    const cell = place && this.focus ? this.focus.at(place) : undefined;
    const { overlay, layer } = this.state;
    this.readouts.cell(place, cell, overlay ? valueText(layer, cell?.[layer]) : "");
    this.focus?.point(cell);
  }

  #pointCentre() {
    const { x, y } = this.active.view;
    const inside = x >= 0 && y >= 0 && x < this.facts.width && y < this.facts.height;
    this.#point(this.active, inside ? { x, y } : null, true);
  }

  #failed({ message, maxReached, tileRequest }) {
    if (!maxReached || /aborted/.test(message)) return;
    const error = new Error(`Some of the picture could not be loaded: ${message}`);
    this.report(Object.assign(error, { status: tileRequest?.status }), () => location.reload());
  }

  #remember() {
    clearTimeout(this.timer);
    $("slide-view").dataset.settled = false;
    this.timer = setTimeout(() => {
      if (!this.left.osd.world.getItemCount()) return;
      this.wanted = null;
      history.replaceState(null, "", this.address);
      $("slide-view").dataset.settled = true;
    }, SETTLED);
  }

  get address() {
    return formatLink({ slide: this.facts.id, ...this.state, ...this.active.view });
  }

  goToPlane(plane) {
    if (plane >= 0 && plane < this.planes) this.set({ plane, best: false });
  }

  destroy() {
    clearTimeout(this.timer);
    this.stop.abort();
    this.survey.destroy();
    this.images.destroy();
    this.job.destroy();
    this.overview.destroy();
    this.right?.destroy();
    this.left.destroy();
    this.readouts.cell(null);
    for (const id of ["legend", "survey"]) $(id).hidden = true;
    $("panes").classList.remove("two");
  }
}

function clamp(opacity) {
  return Math.min(1, Math.max(0, opacity));
}

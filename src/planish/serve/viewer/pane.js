// One image area: an OpenSeadragon viewer with the planes of a slide, their name, and a mark where the other pane's pointer is.

import { Planes } from "./planes.js";
import { planeTiles } from "./tiles.js";

const { OpenSeadragon } = window;
const CACHE_BYTES = 96 << 20;
const SOON = 250; // ms after which it is said that tiles are missing
const STILL = matchMedia("(prefers-reduced-motion: reduce)");

export class Pane {
  constructor(parent, facts, label) {
    this.facts = facts;
    this.element = add(parent, "div", "pane");
    this.image = add(this.element, "div", "image");
    this.label = add(this.element, "p", "panel label");
    this.label.setAttribute("aria-live", "polite");
    this.mark = add(this.element, "div", "mark");
    this.mark.hidden = true;
    this.osd = OpenSeadragon({ element: this.image, ...settings(facts) });
    this.osd.canvas.setAttribute("role", "application");
    this.osd.canvas.setAttribute("aria-label", `${label}: arrow keys move, plus and minus zoom`);
    // All keys are the viewer's own, listed in its help.
    this.osd.addHandler("canvas-key", (event) => (event.preventDefaultAction = true));
    this.planes = new Planes(this.osd, (key) => planeTiles(facts, key), (key, whole) => this.#tell(key, whole));
    this.words = () => "";
    this.shown = null;
  }

  #tell(key, whole) {
    this.shown = key;
    this.element.dataset.plane = key ?? "";
    this.element.dataset.whole = whole;
    clearTimeout(this.timer);
    if (whole) this.#name("");
    else this.timer = setTimeout(() => this.#name("loading…"), SOON);
  }

  #name(more) {
    const words = [this.shown === null ? "" : this.words(this.shown), more].filter(Boolean).join(" · ");
    if (this.label.textContent !== words) this.label.textContent = words;
  }

  // x and y in level-0 pixels, zoom in screen pixels per level-0 pixel.
  get view() {
    const centre = this.osd.viewport.getCenter(true);
    return { x: centre.x * this.facts.width, y: centre.y * this.facts.width, zoom: this.zoom };
  }

  get zoom() {
    return this.#toZoom(this.osd.viewport.getZoom(true));
  }

  #toZoom(viewportZoom) {
    return (viewportZoom * this.osd.viewport.getContainerSize().x) / this.facts.width;
  }

  goTo({ x, y, zoom }, immediately = true) {
    const { viewport } = this.osd;
    if (zoom > 0) viewport.zoomTo(viewport.getZoom() * (zoom / this.#toZoom(viewport.getZoom())), null, immediately);
    if (x !== null && y !== null) viewport.panTo(new OpenSeadragon.Point(x / this.facts.width, y / this.facts.width), immediately);
    viewport.applyConstraints(immediately);
  }

  zoomBy(factor) {
    this.osd.viewport.zoomBy(factor);
    this.osd.viewport.applyConstraints();
  }

  // By parts of what is seen.
  panBy(right, down) {
    const bounds = this.osd.viewport.getBounds();
    this.osd.viewport.panBy(new OpenSeadragon.Point(right * bounds.width, down * bounds.height));
    this.osd.viewport.applyConstraints();
  }

  follow(other) {
    this.osd.viewport.fitBounds(other.osd.viewport.getBounds(true), true);
  }

  // Of a pointer event, in level-0 pixels; null beside the slide.
  place(event) {
    const box = this.image.getBoundingClientRect();
    const point = new OpenSeadragon.Point(event.clientX - box.left, event.clientY - box.top);
    const at = this.osd.viewport.pointFromPixel(point, true);
    const x = at.x * this.facts.width;
    const y = at.y * this.facts.width;
    return x >= 0 && y >= 0 && x < this.facts.width && y < this.facts.height ? { x, y } : null;
  }

  markAt(place) {
    this.mark.hidden = !place;
    if (!place) return;
    const point = new OpenSeadragon.Point(place.x / this.facts.width, place.y / this.facts.width);
    const pixel = this.osd.viewport.pixelFromPoint(point, true);
    this.mark.style.transform = `translate(${pixel.x}px, ${pixel.y}px)`;
  }

  destroy() {
    clearTimeout(this.timer);
    this.planes.stop();
    this.osd.destroy();
    this.element.remove();
  }
}

function add(parent, tag, name) {
  const element = document.createElement(tag);
  element.className = name;
  parent.append(element);
  return element;
}

function settings(facts) {
  const drawer = new URLSearchParams(location.search).get("drawer");
  return {
    ...(drawer ? { drawer } : {}),
    showNavigationControl: false,
    preserveImageSizeOnResize: true,
    animationTime: STILL.matches ? 0 : 0.3,
    blendTime: 0,
    visibilityRatio: 0.4,
    minZoomImageRatio: 0.8,
    maxZoomPixelRatio: 4,
    zoomPerScroll: 1.25,
    imageLoaderLimit: 8,
    timeout: 60000,
    tileRetryMax: 1,
    tileRetryDelay: 700,
    maxImageCacheCount: Math.round(CACHE_BYTES / (4 * facts.dzi.tile ** 2)),
    gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true },
    gestureSettingsPen: { clickToZoom: false, dblClickToZoom: true },
  };
}

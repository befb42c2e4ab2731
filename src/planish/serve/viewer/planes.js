// The planes of a slide as images on top of each other, of which one shows.
//
// A plane shows only when its tiles are there: coarse tiles would look like a plane out of focus, which is the one thing
// that a viewer of focal planes must not fake. At most KEPT images are held, so memory stays bounded for any number of planes.

const KEPT = 6;
const PATIENCE = 2000; // ms until a plane shows though tiles are missing

export class Planes {
  // `tiles` makes a tile source from a key; `changed` is told of the key that shows and whether all of it is there.
  constructor(osd, tiles, changed) {
    Object.assign(this, { osd, tiles, changed, images: new Map(), wanted: null, shown: null, near: [], timer: 0, checked: false });
  }

  // Show `key`; `near` are the keys that are likely next, loaded once this one is there.
  show(key, near) {
    this.near = near.filter((each) => each !== key);
    if (this.wanted !== key) this.#want(key);
    this.#settle();
  }

  #want(key) {
    this.wanted = key;
    this.checked = false;
    this.#load(key);
    const image = this.images.get(key);
    image?.setPreload(true);
    image?.setClip(null); // makes it look
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#swap(), PATIENCE);
    // What a hidden image says of its tiles may be of another place: it looks again in the next frame.
    requestAnimationFrame(() => requestAnimationFrame(() => {
      if (this.wanted !== key) return;
      this.checked = true;
      this.#settle();
    }));
  }

  // Nothing is told any more; for before the images go.
  stop() {
    clearTimeout(this.timer);
    this.changed = () => {};
    this.images.clear();
  }

  #load(key) {
    if (this.images.has(key)) return;
    this.images.set(key, null);
    this.osd.addTiledImage({
      tileSource: this.tiles(key),
      x: 0,
      y: 0,
      width: 1,
      opacity: 0,
      preload: false,
      success: ({ item }) => {
        if (!this.images.has(key)) return this.osd.world.removeItem(item);
        this.images.set(key, item);
        this.osd.world.setItemIndex(item, 0); // beneath the overlay
        item.addHandler("fully-loaded-change", () => this.#settle());
        this.#settle();
      },
    });
  }

  #settle() {
    const wanted = this.images.get(this.wanted);
    if (this.checked && wanted?.getFullyLoaded() && this.shown !== this.wanted) return this.#swap();
    const whole = this.shown === this.wanted && Boolean(wanted?.getFullyLoaded());
    if (whole) this.near.forEach((key) => this.#load(key));
    for (const [key, image] of this.images) preload(image, key === this.wanted || (whole && this.near.includes(key)));
    this.#prune();
    this.changed(this.shown, whole);
    this.osd.forceRedraw();
  }

  #swap() {
    const image = this.images.get(this.wanted);
    if (!image) return;
    clearTimeout(this.timer);
    image.setOpacity(1);
    this.images.get(this.shown)?.setOpacity(this.shown === this.wanted ? 1 : 0);
    this.shown = this.wanted;
    this.#settle();
  }

  #prune() {
    const needed = new Set([this.wanted, this.shown, ...this.near]);
    for (const [key, image] of this.images) {
      if (this.images.size <= KEPT) return;
      if (needed.has(key)) continue;
      this.images.delete(key);
      if (image) this.osd.world.removeItem(image);
    }
  }
}

// Whether a hidden image loads its tiles; where that begins, it has to look which.
function preload(image, wanted) {
  if (!image || image.getPreload() === wanted) return;
  image.setPreload(wanted);
  if (wanted) image.setClip(null);
}

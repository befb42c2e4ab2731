// Deep-zoom tiles for OpenSeadragon, fetched so that they carry the token and fail in words.

import { readPicture, pictureUrl } from "./api.js";

const { OpenSeadragon } = window;
const QUIET = ["log", "debug", "info", "warn", "error", "assert"];

// Tiles that fail are counted and said in words by the viewer; those given up are not worth a word.
OpenSeadragon.console = Object.fromEntries(QUIET.map((name) => [name, () => {}]));

// It looks for a style of this name and inserts one where there is none, which the content security policy forbids.
const style = document.createElementNS("planish", "style");
style.setAttribute("data-openseadragon-mobile-css", "");
document.head.append(style);

class Tiles extends OpenSeadragon.TileSource {
  constructor({ dzi, ...slide }, path, extension) {
    const [size, last] = [Math.max(dzi.width, dzi.height), dzi.levels - 1];
    // Below the level that is one tile there is nothing to be gained.
    const first = Math.max(0, last - Math.ceil(Math.log2(Math.max(1, size / dzi.tile))));
    super({ width: dzi.width, height: dzi.height, tileSize: dzi.tile, tileOverlap: 0, minLevel: first, maxLevel: last });
    this.address = (level, column, row) => pictureUrl(slide, `${path}_files/${level}/${column}_${row}.${extension}`);
  }

  getTileUrl(level, column, row) {
    return this.address(level, column, row);
  }

  downloadTileStart(job) {
    const stop = new AbortController();
    job.userData.stop = stop;
    readPicture(job.src, stop.signal).then(
      (context) => job.finish(context, null, "context2d"),
      (error) => stop.signal.aborted || job.fail(error.message, { status: error.status }),
    );
  }

  downloadTileAbort(job) {
    job.userData.stop?.abort();
  }
}

export function planeTiles(slide, plane) {
  return new Tiles(slide, `/dzi/${plane}`, "jpeg");
}

export function focusTiles(slide, layer) {
  return new Tiles(slide, `/focus/${layer}`, "png");
}

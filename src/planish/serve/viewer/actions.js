// What keys and buttons do to a slide's view.

import { LAYERS } from "./layers.js";
import { announce, say } from "./notice.js";

const STEP = 0.2; // parts of what is seen
const ZOOM = 1.5;

export function makeActions(view) {
  const many = view.planes > 1;
  const turn = (change) => many && view.set(change);
  const move = (right, down) => () => {
    view.keyed = true;
    view.active.panBy(right * STEP, down * STEP);
  };
  return {
    up: () => view.goToPlane(view.state.plane + 1),
    down: () => view.goToPlane(view.state.plane - 1),
    goSharpest: () => view.goToPlane(view.readouts.plane),
    // Beside the plane, the best shows already: there it is shown alone.
    best: () => turn({ best: view.state.side || !view.state.best, side: false }),
    map: () => turn({ overlay: view.state.overlay ? 0 : view.opacity }),
    nextLayer: () => many && nextLayer(view),
    side: () => turn({ side: !view.state.side }),
    left: move(-1, 0),
    right: move(1, 0),
    north: move(0, -1),
    south: move(0, 1),
    zoomIn: () => view.active.zoomBy(ZOOM),
    zoomOut: () => view.active.zoomBy(1 / ZOOM),
    fit: () => view.active.osd.viewport.goHome(),
    full: () => view.active.goTo({ x: null, y: null, zoom: 1 }, false),
    images: () => view.images.toggle(),
    closeImages: () => view.images.close(),
    flatten: () => view.job.begin(),
    closeJob: () => view.job.close(),
    copyLink: () => copyLink(view.address),
    back,
  };
}

// Whoever is in a panel leaves that first.
function back() {
  const panel = document.activeElement.closest(".aside section");
  if (panel) panel.querySelector(".close").click();
  else location.hash = "";
}

// A map that is hidden shows first as it was.
function nextLayer(view) {
  const { overlay, layer } = view.state;
  const next = LAYERS[(LAYERS.indexOf(layer) + 1) % LAYERS.length];
  view.set(overlay ? { layer: next } : { overlay: view.opacity });
  announce(`Focus map: ${view.state.layer}`);
}

async function copyLink(address) {
  const url = new URL(address, location.href).href;
  history.replaceState(null, "", url);
  try {
    await navigator.clipboard.writeText(url);
    say("The link to this view is copied.", { seconds: 3 });
  } catch {
    // Away from https and localhost browsers allow no more.
    say("The browser keeps the clipboard closed here; the address above is the link to this view.");
  }
}

// The survey of a slide, by which its best is put together.

import { Work } from "./work.js";

export class Survey extends Work {
  constructor(id, changed) {
    super(id, "best", "working", changed);
  }

  get ready() {
    return this.facts.state === "ready";
  }
}

export function progressText({ stage, done, total }) {
  if (stage === "waiting") return "Waiting for another slide's survey";
  const count = total ? ` · ${Math.floor((100 * done) / total)} %` : "";
  return `Surveying the planes${stage ? ` (${stage})` : ""}${count}`;
}

// The survey of a slide, by which its best is put together: begun on demand, its progress told as it comes.

import { beginBest, bestEvents, readBest } from "./api.js";

const PAUSE = 1000; // ms before asking again where the events broke off

export class Survey {
  constructor(id, changed) {
    Object.assign(this, { id, changed, facts: { state: "none" }, stop: new AbortController() });
  }

  get ready() {
    return this.facts.state === "ready";
  }

  // Learn whether it is done or being done already, by somebody else perhaps.
  async look() {
    this.#tell(await readBest(this.id));
    if (this.facts.state === "working") this.#follow();
  }

  async begin() {
    if (this.ready || this.facts.state === "working") return;
    this.#tell({ state: "working" });
    try {
      this.#tell(await beginBest(this.id));
    } catch (error) {
      this.facts = { state: "none" };
      throw error;
    }
    if (this.facts.state === "working") this.#follow();
  }

  #tell(facts) {
    this.facts = facts;
    if (!this.stop.signal.aborted) this.changed(facts);
  }

  async #follow() {
    while (this.facts.state === "working" && !this.stop.signal.aborted) {
      try {
        for await (const facts of bestEvents(this.id, this.stop.signal)) {
          this.#tell(facts);
          if (facts.state !== "working") return;
        }
        this.#tell(await readBest(this.id));
      } catch (error) {
        if (error.name === "AbortError") return;
        if (error.status >= 400 && error.status < 500) return this.#tell({ state: "failed", message: error.message });
      }
      await new Promise((resolve) => setTimeout(resolve, PAUSE));
    }
  }

  destroy() {
    this.stop.abort();
  }
}

export function progressText({ stage, done, total }) {
  if (stage === "waiting") return "Waiting for another slide's survey";
  const count = total ? ` · ${Math.floor((100 * done) / total)} %` : "";
  return `Surveying the planes${stage ? ` (${stage})` : ""}${count}`;
}

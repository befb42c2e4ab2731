// What the service does for a slide when asked: its survey, and flattening it into a file. Begun on demand, told as it goes.

import { beginWork, readWork, workEvents } from "./api.js";

const PAUSE = 1000; // ms before asking again where the events broke off
const UNDER_WAY = ["working", "waiting", "running"];

export class Work {
  // `kind` is as it stands in the address; `begun` is the state that is shown until the service has answered.
  constructor(id, kind, begun, changed) {
    Object.assign(this, { id, kind, begun, changed, facts: { state: "none" }, stop: new AbortController() });
  }

  get underWay() {
    return UNDER_WAY.includes(this.facts.state);
  }

  // Learn whether it is done or being done already, by somebody else perhaps.
  async look() {
    const facts = await readWork(this.id, this.kind);
    if (this.underWay) return; // it was begun meanwhile
    this.#tell(facts);
    if (this.underWay) this.#follow();
  }

  async begin() {
    if (this.underWay) return;
    this.#tell({ state: this.begun });
    try {
      this.#tell(await beginWork(this.id, this.kind));
    } catch (error) {
      this.facts = { state: "none" };
      throw error;
    }
    if (this.underWay) this.#follow();
  }

  #tell(facts) {
    this.facts = facts;
    if (!this.stop.signal.aborted) this.changed(facts);
  }

  async #follow() {
    while (this.underWay && !this.stop.signal.aborted) {
      try {
        for await (const facts of workEvents(this.id, this.kind, this.stop.signal)) {
          this.#tell(facts);
          if (!this.underWay) return;
        }
        this.#tell(await readWork(this.id, this.kind));
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

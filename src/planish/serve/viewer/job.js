// Flattening the slide into a file, where the service lets people have that done.

import { announce } from "./notice.js";
import { Work } from "./work.js";

const $ = (id) => document.getElementById(id);

export class Job {
  constructor({ id, jobs }, report) {
    this.report = report;
    Object.assign(this, { state: "none", said: "" });
    this.work = new Work(id, "flatten", "waiting", (told) => this.#draw(told));
    $("flatten").hidden = !jobs;
    $("job").hidden = true;
    if (jobs) this.#look();
  }

  // What ended before the slide was opened is no news.
  #look() {
    this.silent = true;
    this.work.look().catch(this.report).finally(() => (this.silent = false));
  }

  begin() {
    if ($("flatten").hidden) return;
    $("job").hidden = false;
    this.work.begin().catch((error) => {
      $("job").hidden = true;
      this.report(error);
    });
  }

  close() {
    $("job").hidden = true;
    $("flatten").focus();
  }

  #draw(told) {
    if (this.silent && !this.work.underWay) return;
    // Whoever has closed it is told of what is new.
    if (told.state !== this.state) $("job").hidden = told.state === "none";
    this.state = told.state;
    const { state, warnings = [] } = told;
    $("job-text").textContent = jobText(told);
    $("job-text").classList.toggle("wrong", state === "failed");
    $("job-bar").hidden = !this.work.underWay;
    $("job-warnings").replaceChildren(...warnings.map(item));
    this.#say(told, warnings.length);
  }

  // Not every second of it.
  #say(told, warned) {
    const words = jobText({ ...told, seconds: 0 }) + (warned ? `, with ${warned === 1 ? "a warning" : `${warned} warnings`}` : "");
    if (words !== this.said) announce(words);
    this.said = words;
  }

  destroy() {
    this.work.destroy();
    $("job").hidden = true;
  }
}

function jobText({ state, reason, message, seconds, output }) {
  const lasted = seconds ? ` · ${durationText(seconds)}` : "";
  if (state === "running") return `Flattening into a file${lasted}`;
  if (state === "done") return `Flattened into ${output}${lasted}`;
  if (state === "failed") return `Not flattened: ${message || reason || "no reason was given"}`;
  return message ? `Waiting: ${message}` : "Waiting to be flattened into a file";
}

function durationText(seconds) {
  const minutes = Math.floor(seconds / 60);
  return minutes ? `${minutes} min ${seconds % 60} s` : `${seconds} s`;
}

function item(text) {
  const made = document.createElement("li");
  made.textContent = text;
  return made;
}

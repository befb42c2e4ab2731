// Everything that is asked of the service. Errors carry words for people, out of its problem documents.

const BASE = new URL("../", import.meta.url);
const KEY = "planish-token";

export class ServiceError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

export function setToken(token) {
  sessionStorage.setItem(KEY, token);
}

export function hasToken() {
  return Boolean(sessionStorage.getItem(KEY));
}

export function slideUrl(id, rest = "") {
  return new URL(`api/slides/${encodeURIComponent(id)}${rest}`, BASE).href;
}

// The address of a picture; with the slide's version, so that it may be kept, and never mixes with those of another version.
export function pictureUrl(slide, rest) {
  return slideUrl(slide.id, rest) + (slide.version ? `?v=${encodeURIComponent(slide.version)}` : "");
}

// A header rather than a cookie or a query: it stays out of logs and of what is sent by other sites.
async function request(url, options = {}) {
  const token = sessionStorage.getItem(KEY);
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  let response;
  try {
    response = await fetch(url, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServiceError("The service does not answer. Is it still running?", 0);
  }
  // The best that is still being found comes as 202, with a problem document that says so.
  const problem = /problem\+json/.test(response.headers.get("Content-Type"));
  if (!response.ok || problem) throw new ServiceError(await words(response), response.status);
  return response;
}

async function words(response) {
  const problem = await response.json().catch(() => ({}));
  return problem.detail || problem.title || `The service answered with status ${response.status}.`;
}

async function json(url, options) {
  return (await request(url, options)).json();
}

export const listSlides = async () => (await json(new URL("api/slides", BASE).href)).slides;
export const readSlide = (id) => json(slideUrl(id));
export const readWork = (id, kind) => json(slideUrl(id, `/${kind}`));
export const beginWork = (id, kind) => json(slideUrl(id, `/${kind}`), { method: "POST" });
export const readFocus = (id) => json(slideUrl(id, "/focus"));

// Pictures go onto canvases, not into <img>: those could send no token, and blob addresses need a laxer policy.
export async function readPicture(url, signal) {
  const response = await request(url, { signal });
  const bitmap = await createImageBitmap(await response.blob());
  const canvas = document.createElement("canvas");
  canvas.width = bitmap.width;
  canvas.height = bitmap.height;
  const context = canvas.getContext("2d");
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return context;
}

// Server-sent events, read with fetch because EventSource can send no token.
export async function* workEvents(id, kind, signal) {
  const response = await request(slideUrl(id, `/${kind}/events`), { signal });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let pending = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const lines = (pending + value).split(/\r?\n/);
      pending = lines.pop();
      for (const line of lines) if (line.startsWith("data:")) yield JSON.parse(line.slice(5));
    }
  } finally {
    reader.cancel().catch(() => {}); // whoever listens may leave before the end
  }
}

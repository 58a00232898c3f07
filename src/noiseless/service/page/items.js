// The images on the page: each with its file, and a result for each way it was asked to be denoised.

import { follow, forget, preview, submit } from "./api.js";

const KEPT_BITMAPS = 6;
// What is no image: films, and OME-Zarr in zips.
const OTHERS = /\.(zip|mkv|mp4|m4v|mov|webm|avi|ts|flv|mpg|mpeg|ogv|wmv|mxf|y4m)$/i;

export class Item {
  constructor(file) {
    this.file = file;
    this.isOther = file.type.startsWith("video/") || OTHERS.test(file.name);
    this.strength = 1; // of what is no image, which cannot be blended afterwards
    this.range = { black: "", white: "" }; // values, where the file does not say them
    this.isDeep = /\.zip$/i.test(file.name); // whether it may need them: known of a zip, of an image when it is read
    this.plane = 0;
    this.results = new Map(); // by what was asked for
    this.thumbnail = null;
  }

  // The result for these options; begun where it is not there yet. `onChange` is told of each step.
  ask(asked, onChange) {
    const options = this.isOther ? { ...asked, strength: this.strength } : asked;
    const key = JSON.stringify(options);
    this.current = key;
    if (!this.results.has(key)) {
      for (const result of this.results.values()) result.stop();
      const result = new Result(this, options, onChange);
      this.results.set(key, result);
      result.run();
    }
    return this.results.get(key);
  }

  get result() {
    return this.results.get(this.current);
  }
}

// One run of a model over an image: state, job, bitmaps to show.
class Result {
  constructor(item, options, onChange) {
    Object.assign(this, { item, options, onChange });
    this.state = "sending";
    this.job = this.error = this.before = this.after = null;
    this.abort = new AbortController();
  }

  async run() {
    try {
      const { signal } = this.abort;
      this.job = await submit(this.item.file, this.options, signal, () => this.change("full"));
      this.change("queued");
      const shown = this.job.kind !== "image" || this.load("before").catch(() => {}); // seen while it waits
      this.job = await follow(this.job.id, signal, (job) => {
        this.job = job;
        this.change(job.state === "done" && job.kind === "image" ? "preparing" : job.state);
      });
      await shown;
      if (this.job.state !== "done") throw new Error(this.job.error);
      await this.showPlane();
      this.change("done");
    } catch (error) {
      if (this.abort.signal.aborted) return;
      this.error = error.message;
      this.change("failed");
    }
  }

  // Fetch a bitmap of the plane that is chosen, unless it is there.
  async load(which) {
    const { plane } = this.item;
    if (this[which]?.plane === plane) return;
    const shown = await preview(this.job.id, which, plane, this.abort.signal);
    this[which] = { ...shown, plane };
    if (which === "before" && !this.item.thumbnail) this.item.thumbnail = shown.bitmap;
    this.change(this.state);
  }

  // Only an image has a preview: the rest is there to be downloaded.
  async showPlane() {
    if (this.job.kind !== "image") return;
    await this.load("before");
    await this.load("after");
  }

  change(state) {
    this.state = state;
    this.onChange(this);
  }

  // A result that is not finished is not wanted any more.
  stop() {
    if (["done", "failed"].includes(this.state)) return;
    this.abort.abort();
    if (this.job) forget(this.job.id);
    this.item.results.delete(JSON.stringify(this.options));
  }
}

// Let go of the bitmaps of images that were not looked at lately; they are fetched again when needed.
export function releaseBitmaps(recent) {
  for (const item of recent.slice(KEPT_BITMAPS)) {
    for (const result of item.results.values()) {
      if (result.state === "done") result.before = result.after = null;
    }
  }
}

// The page: what people do becomes what is asked of the service, and what it answers becomes what they see.

import { getJson, call, onTokenNeeded, result as fetchResult } from "./api.js";
import { Item, releaseBitmaps } from "./items.js";
import { startLook } from "./look.js";
import { Viewer } from "./viewer.js";
import { changeLanguage, hasWord, word, writeWords } from "./words.js";

const element = (id) => document.getElementById(id);
const items = [];
let recent = []; // items, the one looked at last in front
let current = null;
let service = { models: [], limits: { bytes: Infinity } };
const viewer = new Viewer(element("canvas"), element("divider"), element("zoom"));

// --- images come ---

function add(files) {
  const taken = [...files].filter((file) => {
    const fits = file.size <= service.limits.bytes;
    if (!fits) alert(word("too-large", { name: file.name, limit: Math.round(service.limits.bytes / 2 ** 20) }));
    return fits;
  });
  const added = taken.map((file) => new Item(file));
  for (const item of added) item.strength = Number(element("strength").value) / 100;
  items.push(...added);
  if (added.length) look(added[0]);
  for (const item of added) item.ask(options(item), changed);
  showStrip();
}

function look(item) {
  current = item;
  recent = [item, ...recent.filter((other) => other !== item)];
  releaseBitmaps(recent);
  document.body.classList.remove("empty");
  for (const end of ["black", "white"]) element(end).value = item.range[end];
  const result = item.ask(options(item), changed);
  if (result.state === "done" && !result.after) result.showPlane();
  showCurrent();
  showStrip();
}

// What the panel asks for an image.
function options(item) {
  const given = element("noise").value === "given";
  const { black, white } = item.range;
  return {
    model: element("model").value,
    noise: given ? `gaussian:${Number(element("sigma").value) || 0}` : "auto",
    ...(white && { data_range: black ? `${black},${white}` : white }),
  };
}

function askAgain() {
  element("sigma").hidden = element("noise").value !== "given";
  if (current) look(current);
}

function changed(result) {
  if (result.item === current && result === current.result) showCurrent();
  showStrip();
}

// --- what is seen ---

function showCurrent() {
  const { result } = current;
  const report = result.job?.report;
  viewer.show(result.before?.bitmap ?? null, result.state === "done" ? result.after?.bitmap ?? null : null);
  element("file-name").textContent = current.file.name;
  element("file-facts").textContent = report ? factsOf(report.image) : "";
  element("download").disabled = result.state !== "done";
  element("download-facts").textContent = report ? keptOf(report.image) : "";
  showProgress(result);
  showFacts(result, report);
  showWarnings(result, report);
  showPlanes(report);
  showRange(result, report?.image);
  showTags();
}

// Which values are black and white: asked where there are more than 256, or where the service could not tell.
function showRange(result, image) {
  if (image) current.isDeep = !image.frames && !["uint8", "bool"].includes(image.dtype);
  const isFilm = current.isOther && !current.isDeep;
  const isAsked = current.isDeep || current.range.white || result.state === "failed";
  element("range-field").hidden = isFilm || !isAsked;
  for (const end of ["black", "white"]) element(end).placeholder = word("from-file");
}

function showProgress(result) {
  const other = result.job ? result.job.kind !== "image" : result.item.isOther;
  const busy = !["done", "failed"].includes(result.state);
  element("busy").hidden = !busy && !(other && result.state === "done");
  element("progress").hidden = !busy;
  if (element("busy").hidden) return;
  const share = Math.floor(100 * (result.job?.progress ?? 0));
  const left = result.job?.seconds_left;
  const texts = {
    sending: () => word("sending"),
    full: () => word("full"),
    queued: () => (result.job.ahead ? word("waiting", { ahead: result.job.ahead }) : word("next")),
    done: () => word("other-done"),
    running: () => (left ? word("left", { share, left: clock(left) }) : word(share ? "share" : "working", { share })),
    preparing: () => word("preparing"),
  };
  const frames = result.job?.frames && busy ? ` · ${word("frames", { count: result.job.frames })}` : "";
  const note = other && busy ? ` — ${word("other-note")}` : "";
  element("busy-text").textContent = texts[result.state]() + frames + note;
  const progress = element("progress");
  if (result.state === "running" && share) progress.value = share / 100;
  else progress.removeAttribute("value");
}

function showFacts(result, report) {
  const rows = [];
  if (report) {
    const levels = (values) => {
      const texts = values.map((level) => level?.toFixed(1) ?? "?");
      return new Set(texts).size > 1 ? texts.join(" · ") : texts[0];
    };
    rows.push([word("used-model"), report.model]);
    const estimated = report.estimated ?? (report.noise === "auto" && report.told);
    if (estimated) rows.push([word("estimated"), levels(estimated)]);
    if (report.told && report.noise !== "auto") rows.push([word("told"), levels(report.told)]);
    if (report.removed != null) rows.push([word("taken"), report.removed.toFixed(1)]);
    rows.push([word("seconds"), `${report.seconds.toFixed(1)} s`]);
    const [low, high] = result.before?.window ?? [];
    if (report.image.dtype !== "uint8" && low !== undefined) {
      rows.push([word("window"), word("window-of", { low: nice(low), high: nice(high) })]);
    }
  }
  element("facts").replaceChildren(...rows.flatMap(([name, value]) => [make("dt", name), make("dd", value)]));
}

function showWarnings(result, report) {
  const texts = (report?.warnings ?? []).map((warning) => (hasWord(warning.code) ? word(warning.code) : warning.text));
  if (result.error) texts.unshift(word("failed", { error: result.error }));
  if (result.before?.reduced > 1) texts.push(word("reduced", { by: result.before.reduced }));
  element("warnings").replaceChildren(...texts.map((text) => make("li", text)));
}

function showPlanes(report) {
  const count = current.result.job?.kind === "image" ? (report?.image.planes ?? 1) : 1; // others are not shown
  element("plane-field").hidden = count < 2;
  element("plane").max = count - 1;
  element("plane").value = current.plane;
  element("plane-value").textContent = `${current.plane + 1} / ${count}`;
}

function showTags() {
  const ready = current?.result.state === "done" && current.result.job.kind === "image";
  const removed = viewer.view === "removed" && ready;
  const [before, after] = document.querySelectorAll(".tag");
  before.textContent = word(removed ? "removed" : "before");
  before.hidden = !ready;
  after.hidden = !ready || removed || viewer.peeking;
}

function showStrip() {
  const buttons = items.map((item) => {
    const button = make("button", "");
    button.type = "button";
    button.ariaLabel = item.file.name;
    button.title = item.file.name;
    button.classList.toggle("failed", item.result?.state === "failed");
    if (item === current) button.setAttribute("aria-current", "true");
    if (item.thumbnail) button.append(thumbnail(item.thumbnail));
    const line = make("span", "");
    line.className = "state";
    const share = { done: 0, failed: 1 }[item.result?.state] ?? item.result?.job?.progress ?? 0;
    line.style.width = `${100 * share}%`;
    button.append(line);
    button.addEventListener("click", () => look(item));
    return button;
  });
  const more = make("button", "+");
  more.type = "button";
  more.ariaLabel = word("more");
  more.addEventListener("click", () => element("files").click());
  const focused = [...element("strip").children].indexOf(document.activeElement);
  element("strip").replaceChildren(...buttons, more);
  element("strip").children[focused]?.focus();
}

function thumbnail(bitmap) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 120;
  const side = Math.min(bitmap.width, bitmap.height);
  canvas.getContext("2d").drawImage(bitmap, (bitmap.width - side) / 2, (bitmap.height - side) / 2, side, side, 0, 0, 120, 120);
  return canvas;
}

// --- words for numbers ---

function factsOf(image) {
  if (image.frames) {
    return `${image.width} × ${image.height} · ${word("frames", { count: image.frames })} · ${formatOf(image)}`;
  }
  const parts = [word("facts", { width: image.width, height: image.height, depth: depthOf(image), format: formatOf(image) })];
  if (image.planes > 1) parts.push(word("planes", { count: image.planes }));
  return parts.join(" · ");
}

function keptOf(image) {
  const format = formatOf(image);
  return image.frames ? word("film-kept", { format }) : word("kept", { format, depth: depthOf(image) });
}

const formatOf = (image) => ({ netpbm: "PPM", npy: "NumPy", webp: "WebP", zarr: "OME-Zarr" })[image.format] ?? image.format.toUpperCase();
const depthOf = (image) => (image.bits ? word("bits", { bits: image.bits }) : word("float"));
const nice = (value) => Number(value.toPrecision(4)).toLocaleString("en", { useGrouping: false });
const clock = (seconds) => (seconds < 90 ? `${Math.ceil(seconds)} s` : `${Math.ceil(seconds / 60)} min`);

function make(name, text) {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}

// --- what people do ---

async function download() {
  const item = current;
  const strength = Number(element("strength").value) / 100;
  const { blob, name } = await fetchResult(item.result.job, strength);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name.replace(/(\.nii\.gz|\.zarr\.zip|\.[^.]*)?$/, (suffix) => `-noiseless${suffix}`);
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

function setStrength() {
  const { value } = element("strength");
  element("strength").style.setProperty("--filled", `${value}%`);
  element("strength-value").textContent = `${value}%`;
  viewer.set({ strength: value / 100 });
}

function setRange() {
  const [black, white] = [element("black").value, element("white").value];
  if (black && !white) return; // the other is still to come
  current.range = { black, white };
  look(current);
}

function setGain() {
  const gain = 2 ** Number(element("gain").value);
  element("gain").style.setProperty("--filled", `${20 * element("gain").value}%`);
  element("gain-value").textContent = `×${nice(Math.round(10 * gain) / 10)}`;
  viewer.set({ gain });
}

function setView(view) {
  element("gain-field").hidden = view !== "removed";
  document.querySelector(`input[name="view"][value="${view}"]`).checked = true;
  viewer.set({ view });
  showTags();
}

function peek(peeking) {
  if (viewer.peeking === peeking) return;
  viewer.set({ peeking });
  showTags();
}

const KEYS = {
  "+": () => viewer.zoomBy(1.25),
  "=": () => viewer.zoomBy(1.25),
  "-": () => viewer.zoomBy(0.8),
  0: () => viewer.fit(),
  1: () => viewer.zoomTo(1),
  ArrowLeft: () => viewer.move(60, 0),
  ArrowRight: () => viewer.move(-60, 0),
  ArrowUp: () => viewer.move(0, 60),
  ArrowDown: () => viewer.move(0, -60),
  " ": () => peek(true),
  r: () => setView(viewer.view === "removed" ? "compare" : "removed"),
};

function listen() {
  element("choose").addEventListener("click", () => element("files").click());
  element("files").addEventListener("change", (event) => {
    add(event.target.files);
    event.target.value = "";
  });
  element("strength").addEventListener("input", setStrength);
  element("strength").addEventListener("change", () => {
    if (!current?.isOther) return;
    current.strength = Number(element("strength").value) / 100;
    look(current);
  });
  element("gain").addEventListener("input", setGain);
  for (const input of document.querySelectorAll('input[name="view"]')) {
    input.addEventListener("change", () => setView(input.value));
  }
  for (const id of ["model", "noise", "sigma"]) element(id).addEventListener("change", askAgain);
  for (const id of ["black", "white"]) element(id).addEventListener("change", setRange);
  element("plane").addEventListener("input", (event) => {
    current.plane = Number(event.target.value);
    showPlanes(current.result.job?.report);
    current.result.showPlane();
  });
  element("download").addEventListener("click", () => download().catch((error) => alert(error.message)));
  element("in").addEventListener("click", () => viewer.zoomBy(1.5));
  element("out").addEventListener("click", () => viewer.zoomBy(1 / 1.5));
  element("fit").addEventListener("click", () => viewer.fit());
  element("pixels").addEventListener("click", () => viewer.zoomTo(1));
  element("language").addEventListener("click", () => {
    changeLanguage();
    showModels();
    if (current) showCurrent();
  });
  listenToKeys();
  listenToDrops();
}

function listenToKeys() {
  element("canvas").addEventListener("keydown", (event) => {
    if (!(event.key in KEYS) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    KEYS[event.key]();
  });
  element("canvas").addEventListener("keyup", (event) => event.key === " " && peek(false));
  element("canvas").addEventListener("blur", () => peek(false));
}

function listenToDrops() {
  let inside = 0;
  const mark = () => document.body.classList.toggle("dropping", inside > 0);
  const hasFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  addEventListener("dragenter", (event) => {
    inside += hasFiles(event) ? 1 : 0;
    mark();
  });
  addEventListener("dragleave", (event) => {
    inside = Math.max(0, inside - (hasFiles(event) ? 1 : 0));
    mark();
  });
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    inside = 0;
    mark();
    add(event.dataTransfer.files);
  });
  addEventListener("paste", (event) => add(event.clipboardData.files));
}

// --- the beginning ---

function askForToken() {
  const dialog = element("ask");
  if (!dialog.open) dialog.showModal();
  return new Promise((done) => {
    dialog.addEventListener("close", () => done(element("token").value), { once: true });
  });
}

function showModels() {
  const chosen = element("model").value;
  const made = service.models.map((model) => {
    const kind = model.channels === 1 ? "grey" : "colour";
    const option = make("option", `${model.name} · ${word(kind)}`);
    option.title = word(model.takes_noise ? "takes-noise" : "blind");
    option.value = model.name;
    return option;
  });
  element("model").replaceChildren(element("model").firstElementChild, ...made);
  element("model").value = chosen || "auto";
}

async function showSamples() {
  const { samples } = await getJson("/v1/samples");
  const made = samples.map(({ name, file, model }) => {
    const entry = document.createElement("li");
    const button = make("button", "");
    button.type = "button";
    button.dataset.sample = name;
    const frame = make("span", "");
    frame.className = "frame";
    const caption = make("span", word(`sample-${name}`));
    caption.className = "caption";
    caption.dataset.word = `sample-${name}`;
    button.append(frame, caption);
    button.addEventListener("click", async () => {
      const blob = await (await call(`/v1/samples/${name}`)).blob();
      element("model").value = model;
      add([new File([blob], file, { type: blob.type })]);
    });
    call(`/v1/samples/${name}/preview`).then((answer) => answer.blob()).then((blob) => {
      const image = document.createElement("img");
      image.alt = "";
      image.src = URL.createObjectURL(blob);
      frame.append(image);
    });
    entry.append(button);
    return entry;
  });
  element("samples").replaceChildren(...made);
}

async function start() {
  startLook();
  writeWords();
  onTokenNeeded(askForToken);
  listen();
  setStrength();
  setGain();
  service = await getJson("/v1/models");
  showModels();
  await showSamples();
}

start();

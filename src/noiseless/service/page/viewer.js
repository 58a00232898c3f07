// The image on a canvas: before and after on both sides of a divider, zoom to pixels, what was removed.

const LARGEST = 40; // canvas pixels for one of the image
const STEP = 1.25;
const GREY = 128;

export class Viewer {
  constructor(canvas, divider, zoomOutput) {
    Object.assign(this, { canvas, divider, zoomOutput });
    this.context = canvas.getContext("2d");
    this.before = this.after = this.residual = null;
    this.strength = 1;
    this.gain = 8;
    this.view = "compare";
    this.share = 0.5; // of the stage that shows the image before
    this.peeking = false;
    this.scale = 1;
    this.x = this.y = 0; // of the image's corner, in canvas pixels
    this.fitted = true;
    this.pointers = new Map();
    new ResizeObserver(() => this.resize()).observe(canvas);
    this.listen();
  }

  // Show an image; `after` is null while there is none. The view stays where the size is the same.
  show(before, after) {
    const sameSize = this.before && before && this.before.width === before.width && this.before.height === before.height;
    Object.assign(this, { before, after, residual: null });
    if (!sameSize) this.fitted = true;
    this.resize();
  }

  set(values) {
    if ("gain" in values && values.gain !== this.gain) this.residual = null;
    Object.assign(this, values);
    this.draw();
  }

  resize() {
    const ratio = window.devicePixelRatio || 1;
    const width = Math.round(this.canvas.clientWidth * ratio);
    const height = Math.round(this.canvas.clientHeight * ratio);
    if (this.canvas.width !== width || this.canvas.height !== height) Object.assign(this.canvas, { width, height });
    if (this.fitted) this.fit();
    else this.draw();
  }

  fit() {
    if (!this.before || !this.canvas.width) {
      this.draw(); // nothing, so that no other image stays
      return;
    }
    const { width, height } = this.canvas;
    const margin = 0.96;
    this.scale = Math.min((margin * width) / this.before.width, (margin * height) / this.before.height);
    if (this.scale > 1) this.scale = Math.max(1, Math.floor(2 * this.scale) / 2);
    this.x = (width - this.scale * this.before.width) / 2;
    this.y = (height - this.scale * this.before.height) / 2;
    this.fitted = true;
    this.draw();
  }

  // Zoom so that the point (x, y) of the canvas stays where it is.
  zoomTo(scale, x = this.canvas.width / 2, y = this.canvas.height / 2) {
    if (!this.before) return;
    const smallest = Math.min(1, this.canvas.width / this.before.width, this.canvas.height / this.before.height) / 2;
    const next = Math.min(LARGEST, Math.max(smallest, scale));
    this.x = x - ((x - this.x) * next) / this.scale;
    this.y = y - ((y - this.y) * next) / this.scale;
    this.scale = next;
    this.fitted = false;
    this.draw();
  }

  zoomBy(factor) {
    this.zoomTo(this.scale * factor);
  }

  move(x, y) {
    this.x += x;
    this.y += y;
    this.fitted = false;
    this.draw();
  }

  slide(share) {
    this.share = Math.min(1, Math.max(0, share));
    this.draw();
  }

  draw() {
    if (this.waiting) return;
    this.waiting = requestAnimationFrame(() => {
      this.waiting = null;
      this.paint();
    });
  }

  paint() {
    const { context, canvas, before, after } = this;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.globalAlpha = 1;
    context.clearRect(0, 0, canvas.width, canvas.height);
    const comparing = Boolean(after) && this.view === "compare" && !this.peeking;
    this.divider.hidden = !comparing;
    if (!before) return;
    this.x = keepIn(this.x, this.scale * before.width, canvas.width);
    this.y = keepIn(this.y, this.scale * before.height, canvas.height);
    context.imageSmoothingEnabled = this.scale < 2;
    context.imageSmoothingQuality = "high";
    // at whole pixels of the canvas, so that an image at 100% is not blurred
    context.setTransform(this.scale, 0, 0, this.scale, Math.round(this.x), Math.round(this.y));
    if (after && this.view === "removed" && !this.peeking) this.paintRemoved();
    else this.paintCompared(comparing);
    this.zoomOutput.textContent = `${Math.round(100 * this.scale)}%`;
    this.divider.style.left = `${100 * this.share}%`;
    this.divider.setAttribute("aria-valuenow", Math.round(100 * this.share));
  }

  paintCompared(comparing) {
    const { context, canvas, before, after } = this;
    context.drawImage(before, 0, 0);
    if (!comparing) return;
    const cut = (this.share * canvas.width - this.x) / this.scale;
    context.save();
    context.beginPath();
    context.rect(cut, 0, Math.max(0, before.width - cut), before.height);
    context.clip();
    context.globalAlpha = this.strength; // the share of the effect, without computing it again
    context.drawImage(after, 0, 0);
    context.restore();
  }

  paintRemoved() {
    const { context, before } = this;
    this.residual ||= difference(this.before, this.after, this.gain);
    context.fillStyle = `rgb(${GREY}, ${GREY}, ${GREY})`;
    context.fillRect(0, 0, before.width, before.height);
    context.globalAlpha = this.strength;
    context.drawImage(this.residual, 0, 0);
  }

  listen() {
    const { canvas, divider } = this;
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      const [x, y] = this.place(event);
      this.zoomTo(this.scale * STEP ** (-event.deltaY / 120), x, y);
    }, { passive: false });
    canvas.addEventListener("dblclick", (event) => {
      const [x, y] = this.place(event);
      if (this.fitted) this.zoomTo(Math.max(2, 3 * this.scale), x, y);
      else this.fit();
    });
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.pointers.set(event.pointerId, this.place(event));
    });
    canvas.addEventListener("pointermove", (event) => this.dragged(event));
    for (const name of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(name, (event) => this.pointers.delete(event.pointerId));
    }
    divider.addEventListener("pointerdown", (event) => {
      divider.setPointerCapture(event.pointerId);
      event.preventDefault();
      divider.focus();
    });
    divider.addEventListener("pointermove", (event) => {
      if (divider.hasPointerCapture(event.pointerId)) this.slide(this.place(event)[0] / canvas.width);
    });
    divider.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -0.02, ArrowRight: 0.02, PageDown: -0.1, PageUp: 0.1, Home: -1, End: 1 }[event.key];
      if (!step) return;
      event.preventDefault();
      event.stopPropagation();
      this.slide(this.share + step);
    });
  }

  // One finger or the mouse moves the image, two fingers zoom it.
  dragged(event) {
    const earlier = this.pointers.get(event.pointerId);
    if (!earlier) return;
    const now = this.place(event);
    if (this.pointers.size === 1) this.move(now[0] - earlier[0], now[1] - earlier[1]);
    if (this.pointers.size === 2) {
      const [other] = [...this.pointers].filter(([id]) => id !== event.pointerId).map(([, place]) => place);
      const distance = (place) => Math.hypot(place[0] - other[0], place[1] - other[1]) || 1;
      this.zoomTo((this.scale * distance(now)) / distance(earlier), (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
    }
    this.pointers.set(event.pointerId, now);
  }

  // Where an event is, in canvas pixels.
  place(event) {
    const box = this.canvas.getBoundingClientRect();
    const ratio = this.canvas.width / box.width;
    return [(event.clientX - box.left) * ratio, (event.clientY - box.top) * ratio];
  }
}

// An offset at which an image of `size` stays on the stage: centred where it is smaller.
function keepIn(offset, size, stage) {
  if (size <= stage) return (stage - size) / 2;
  return Math.min(stage / 4, Math.max(offset, 0.75 * stage - size));
}

// What was removed, amplified around grey.
function difference(before, after, gain) {
  const { width, height } = before;
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const pixels = (bitmap) => {
    context.drawImage(bitmap, 0, 0);
    return context.getImageData(0, 0, width, height);
  };
  const first = pixels(before);
  const second = pixels(after).data;
  const data = first.data; // clamps and rounds by itself
  for (let place = 0; place < data.length; place += 4) {
    data[place] = GREY + gain * (data[place] - second[place]);
    data[place + 1] = GREY + gain * (data[place + 1] - second[place + 1]);
    data[place + 2] = GREY + gain * (data[place + 2] - second[place + 2]);
  }
  context.putImageData(first, 0, 0);
  return canvas;
}

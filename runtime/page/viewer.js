// The radiograph: window and level on the samples' real depth, zoom, pan; a map over it.
//
// The picture is drawn at the size of the screen from a pyramid of halved pictures, so that a window follows the hand even
// on fifteen million pixels, and a small view shows averages instead of leaving pixels out.

import { at } from "./dom.js";

const FURTHEST = 16;
const ZOOM_STEP = 1.25;
const PAN_STEP = 40;

/** Halves until a picture is small: samples stay 16 bits wide. */
function pyramid(samples, width, height) {
  const levels = [{ samples, width, height }];
  while (width > 512 && height > 512) {
    const [w, h] = [width >> 1, height >> 1];
    const half = new Uint16Array(w * h);
    for (let y = 0; y < h; y++) {
      let from = 2 * y * width;
      for (let x = 0; x < w; x++, from += 2) {
        half[y * w + x] = (samples[from] + samples[from + 1] + samples[from + width] + samples[from + width + 1] + 2) >> 2;
      }
    }
    levels.push({ samples: half, width: w, height: h });
    [samples, width, height] = [half, w, h];
  }
  return levels;
}

export class Viewer {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { alpha: false });
    this.picture = null;
    this.map = null;
    this.over = at("looked").getContext("2d");
    this.greys = new Uint8Array(65536);
    new ResizeObserver(() => this.resized()).observe(canvas);
    canvas.addEventListener("pointerdown", (event) => this.grab(event));
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    canvas.addEventListener("pointermove", (event) => this.tell(event));
    canvas.addEventListener("dblclick", () => this.fit());
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("keydown", (event) => this.key(event));
  }

  /** Shows samples as the API gives them; none clears the stage and says why. */
  show(image, message = "") {
    at("stage-message").textContent = image ? "" : message;
    this.picture = image && { ...image, levels: pyramid(image.samples, image.width, image.height) };
    this.canvas.setAttribute("aria-label", image
      ? `Radiograph of ${image.width} by ${image.height} pixels, ${image.bits} bits`
      : "Radiograph: none is open");
    this.reset();
  }

  reset() {
    if (this.picture) {
      const { center, window, inverted } = this.picture;
      Object.assign(this, { center, window, inverted });
    }
    this.pressed();
    this.fit();
  }

  pressed() {
    const turned = Boolean(this.picture) && this.inverted !== this.picture.inverted;
    document.querySelector('[data-view="invert"]').setAttribute("aria-pressed", String(turned));
  }

  invert() {
    this.inverted = !this.inverted;
    this.pressed();
    this.draw();
  }

  resized() {
    const scale = window.devicePixelRatio || 1;
    this.canvas.width = Math.max(1, Math.round(this.canvas.clientWidth * scale));
    this.canvas.height = Math.max(1, Math.round(this.canvas.clientHeight * scale));
    Object.assign(this.over.canvas, { width: this.canvas.width, height: this.canvas.height });
    if (this.fitted) this.fit();
    else this.draw();
  }

  /** Screen pixels for a pixel of the picture; `x` and `y`: the picture's pixel in the middle. */
  fit() {
    this.fitted = true;
    if (this.picture) {
      this.zoom = Math.min(this.canvas.width / this.picture.width, this.canvas.height / this.picture.height);
      [this.x, this.y] = [this.picture.width / 2, this.picture.height / 2];
    }
    this.draw();
  }

  full() {
    this.zoomTo(1);
  }

  zoomTo(zoom, [px, py] = [this.canvas.width / 2, this.canvas.height / 2]) {
    if (!this.picture) return;
    const smallest = Math.min(this.canvas.width / this.picture.width, this.canvas.height / this.picture.height) / 2;
    const next = Math.min(FURTHEST, Math.max(smallest, zoom));
    // The place under the hand stays there.
    const [dx, dy] = [px - this.canvas.width / 2, py - this.canvas.height / 2];
    this.x += dx / this.zoom - dx / next;
    this.y += dy / this.zoom - dy / next;
    this.zoom = next;
    this.fitted = false;
    this.draw();
  }

  zoomBy(steps) {
    this.zoomTo(this.zoom * ZOOM_STEP ** steps);
  }

  pan(dx, dy) {
    if (!this.picture) return;
    this.x = Math.min(this.picture.width, Math.max(0, this.x - dx / this.zoom));
    this.y = Math.min(this.picture.height, Math.max(0, this.y - dy / this.zoom));
    this.fitted = false;
    this.draw();
  }

  /** Moves level and width by shares of the range that the picture came with. */
  level(level, width) {
    if (!this.picture) return;
    const range = this.picture.window;
    this.center += level * range;
    this.window = Math.max(range / 1000, this.window + width * range);
    this.draw();
  }

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    const scale = this.canvas.width / box.width;
    return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
  }

  grab(event) {
    if (!this.picture) return;
    const moving = event.shiftKey || event.button !== 0;
    let [x, y] = this.place(event);
    this.canvas.setPointerCapture(event.pointerId);
    const move = (next) => {
      const [nx, ny] = this.place(next);
      if (moving) this.pan(nx - x, ny - y);
      else this.level((ny - y) / this.canvas.height, (nx - x) / this.canvas.width * 2);
      [x, y] = [nx, ny];
    };
    const end = () => this.canvas.removeEventListener("pointermove", move);
    this.canvas.addEventListener("pointermove", move);
    this.canvas.addEventListener("pointerup", end, { once: true });
    this.canvas.addEventListener("pointercancel", end, { once: true });
  }

  wheel(event) {
    event.preventDefault();
    if (this.picture) this.zoomTo(this.zoom * ZOOM_STEP ** (-Math.sign(event.deltaY)), this.place(event));
  }

  key(event) {
    const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const [x, y] = arrows[event.key] ?? [0, 0];
    if ((!x && !y) || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    event.stopPropagation();
    if (event.shiftKey) this.pan(-x * PAN_STEP, -y * PAN_STEP);
    else this.level(y * 0.02, x * 0.04);
  }

  /** What lies under the pointer, in the picture's own values. */
  tell(event) {
    if (!this.picture) return;
    const [px, py] = this.place(event);
    const x = Math.floor(this.x + (px - this.canvas.width / 2) / this.zoom);
    const y = Math.floor(this.y + (py - this.canvas.height / 2) / this.zoom);
    const { width, height, samples, slope, intercept } = this.picture;
    const inside = x >= 0 && y >= 0 && x < width && y < height;
    this.value = inside ? samples[y * width + x] * slope + intercept : undefined;
    this.state();
  }

  state() {
    const round = (value) => Math.abs(value) >= 100 ? Math.round(value) : value.toFixed(1);
    at("view-state").textContent = this.picture
      ? [this.value === undefined ? "" : `${round(this.value)} · `,
        `L ${round(this.center)} W ${round(this.window)} · ${Math.round(this.zoom * 100)} %`].join("")
      : "";
  }

  /** The grey of each sample. */
  fillGreys() {
    const { slope, intercept } = this.picture;
    const factor = 255 * slope / this.window;
    const start = 255 * ((intercept - this.center) / this.window + 0.5);
    for (let sample = 0; sample < 65536; sample++) {
      const grey = Math.min(255, Math.max(0, start + factor * sample));
      this.greys[sample] = this.inverted ? 255 - grey : grey;
    }
  }

  /** Lays a small picture over the radiograph, where it lies told in widths and heights of it; none takes it away. */
  look(map) {
    this.map = map;
    this.draw();
  }

  /** Draws at most once for each frame of the screen. */
  draw() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.paint();
    });
  }

  paint() {
    const { canvas, context } = this;
    context.fillStyle = "#000";
    context.fillRect(0, 0, canvas.width, canvas.height);
    this.state();
    this.paintMap();
    if (!this.picture) return;
    this.fillGreys();
    const { levels } = this.picture;
    const halvings = Math.min(levels.length - 1, Math.max(0, Math.floor(Math.log2(1 / this.zoom))));
    const level = levels[halvings];
    const step = 1 / (this.zoom * 2 ** halvings);
    const scaleX = level.width / this.picture.width, scaleY = level.height / this.picture.height;
    const startX = this.x * scaleX - canvas.width / 2 * step, startY = this.y * scaleY - canvas.height / 2 * step;
    // The part of the canvas that the picture covers.
    const left = Math.max(0, Math.ceil(-startX / step)), top = Math.max(0, Math.ceil(-startY / step));
    const right = Math.min(canvas.width, Math.floor((level.width - startX) / step));
    const bottom = Math.min(canvas.height, Math.floor((level.height - startY) / step));
    if (right <= left || bottom <= top) return;
    const target = context.createImageData(right - left, bottom - top);
    this.sample(level, target, startX + left * step, startY + top * step, step);
    context.putImageData(target, left, top);
  }

  /** On a canvas of its own: the radiograph stays what it is. */
  paintMap() {
    const { over, map, picture, zoom } = this;
    over.clearRect(0, 0, over.canvas.width, over.canvas.height);
    if (!map || !picture) return;
    const [left, top] = [over.canvas.width / 2 - this.x * zoom, over.canvas.height / 2 - this.y * zoom];
    const [width, height] = [picture.width * zoom, picture.height * zoom];
    over.save();
    over.beginPath();
    over.rect(left, top, width, height);
    over.clip();
    over.imageSmoothingQuality = "high";
    over.drawImage(map.picture, left + map.left * width, top + map.top * height, map.width * width, map.height * height);
    over.restore();
  }

  /** Bilinear, between the middles of pixels. */
  sample({ samples, width, height }, target, startX, startY, step) {
    const pixels = new Uint32Array(target.data.buffer);
    const { greys } = this;
    let place = 0;
    for (let row = 0; row < target.height; row++) {
      const y = Math.min(height - 1, Math.max(0, startY + (row + 0.5) * step - 0.5));
      const y0 = Math.floor(y), fy = y - y0;
      const above = y0 * width, below = Math.min(height - 1, y0 + 1) * width;
      for (let column = 0; column < target.width; column++) {
        const x = Math.min(width - 1, Math.max(0, startX + (column + 0.5) * step - 0.5));
        const x0 = Math.floor(x), x1 = Math.min(width - 1, x0 + 1), fx = x - x0;
        const upper = samples[above + x0] * (1 - fx) + samples[above + x1] * fx;
        const lower = samples[below + x0] * (1 - fx) + samples[below + x1] * fx;
        const grey = greys[(upper * (1 - fy) + lower * fy + 0.5) | 0];
        pixels[place++] = 0xff000000 | grey << 16 | grey << 8 | grey;
      }
    }
  }
}

// The sound of the last seconds: the user's above the line, the agent's below.

const SECONDS = 8, FRAMES_PER_S = 25; // a frame of 40 ms from either worklet
const FLOOR_DB = -60; // drawn by decibels: speech at a far microphone is at −40 dB, and would be a flat line otherwise

export class Waveform {
  constructor(canvas) {
    this.canvas = canvas;
    this.peaks = { user: silence(), agent: silence() };
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const wait = calm ? (draw) => setTimeout(draw, 1000) : requestAnimationFrame; // once a second is no motion
    const loop = () => { this.#draw(); wait(loop); };
    loop();
  }

  /** The largest amplitude of the next 40 ms of a speaker. */
  push(speaker, peak) {
    this.peaks[speaker].push(peak);
    this.peaks[speaker].shift();
    this.changed = true;
  }

  #draw() {
    const { canvas } = this, ratio = devicePixelRatio;
    const width = Math.round(canvas.clientWidth * ratio), height = Math.round(canvas.clientHeight * ratio);
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    else if (!this.changed) return;
    this.changed = false;
    const pen = canvas.getContext("2d"), style = getComputedStyle(canvas);
    pen.clearRect(0, 0, width, height);
    pen.fillStyle = style.getPropertyValue("--edge");
    pen.fillRect(0, height / 2 - ratio / 2, width, ratio);
    for (const [speaker, way] of [["user", -1], ["agent", 1]]) {
      pen.fillStyle = style.getPropertyValue(`--${speaker}`);
      this.peaks[speaker].forEach((peak, i, all) => {
        const tall = (loudness(peak) * height) / 2.1, step = width / all.length;
        if (tall > 0) pen.fillRect(i * step, height / 2 + Math.min(0, way * tall), Math.max(1, step * 0.7), tall);
      });
    }
  }
}

const silence = () => new Array(SECONDS * FRAMES_PER_S).fill(0);
const loudness = (peak) => (peak > 0 ? Math.max(0, 1 - (20 * Math.log10(peak)) / FLOOR_DB) : 0);

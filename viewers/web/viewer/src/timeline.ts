/** Play, pause, scrub, speed: for whatever has a time. */
import { h } from "./dom.js";

const SPEEDS = [0.25, 0.5, 1, 2, 4];

export class Timeline {
  private duration = 0;
  private time = 0;
  private speed = 1;
  private playing = false;
  private last = 0;
  private readonly play = h("button", { title: "Play or pause (space)", onclick: () => this.toggle() });
  private readonly place = h("input", { type: "range", min: "0", max: "1000", value: "0", aria: { label: "Time" } });
  private readonly clock = h("output");
  private readonly rate = h("select", { title: "Speed", aria: { label: "Speed" } });

  /** moved: told the time in seconds whenever it changes. */
  constructor(
    private readonly root: HTMLElement,
    private readonly moved: (time: number) => void,
  ) {
    for (const speed of SPEEDS) this.rate.append(h("option", { value: String(speed), selected: speed === 1 }, `${speed}x`));
    this.rate.onchange = () => {
      this.speed = Number(this.rate.value);
      this.rate.blur();
    };
    // Keys are the page's again, once a time or a speed is chosen.
    this.place.onchange = () => this.place.blur();
    this.place.oninput = () => this.seek((Number(this.place.value) / 1000) * this.duration);
    root.append(this.play, this.place, this.clock, this.rate);
    this.show();
  }

  /** Seconds; 0 hides the timeline. */
  setDuration(duration: number): void {
    this.duration = duration;
    this.root.hidden = duration <= 0;
    if (this.root.hidden) this.playing = false;
    this.time = Math.min(this.time, duration);
    this.show();
  }

  get visible(): boolean {
    return !this.root.hidden;
  }

  toggle(): void {
    this.playing = !this.playing;
    if (this.playing && this.time >= this.duration) this.time = 0;
    this.last = performance.now();
    if (this.playing) requestAnimationFrame((now) => this.step(now));
    this.show();
  }

  seek(time: number): void {
    this.time = Math.min(Math.max(time, 0), this.duration);
    this.moved(this.time);
    this.show();
  }

  private step(now: number): void {
    if (!this.playing) return;
    const time = this.time + (this.speed * Math.max(now - this.last, 0)) / 1000;
    this.last = now;
    if (time >= this.duration) this.playing = false;
    this.seek(time);
    if (this.playing) requestAnimationFrame((next) => this.step(next));
  }

  private show(): void {
    this.play.textContent = this.playing ? "\u23f8" : "\u25b6";
    this.play.ariaLabel = this.playing ? "Pause" : "Play";
    this.place.value = String(this.duration ? Math.round((1000 * this.time) / this.duration) : 0);
    this.clock.textContent = `${this.time.toFixed(1)} / ${this.duration.toFixed(1)} s`;
  }
}

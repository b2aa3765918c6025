/** Two sides, a slider between them, and how far apart they are in the present view. */
import type { Asset } from "./asset.js";
import { HOTTEST, type Difference } from "./difference.js";
import { byId, decibels, h } from "./dom.js";
import type { Request } from "./difference.worker.js";
import type { Choice, View } from "./view.js";

export class Compare {
  private readonly root = byId("compare", HTMLDivElement);
  private readonly slider = byId("split", HTMLDivElement);
  private readonly sides = byId("sides", HTMLDivElement);
  private readonly heat = byId("heat", HTMLCanvasElement);
  private readonly left = h("select", { id: "choice-a" });
  private readonly right = h("select", { id: "choice-b" });
  private readonly psnr = h("b", { id: "psnr" }, "\u2013");
  private readonly ssim = h("b", { id: "ssim" }, "\u2013");
  private readonly hot = h("button", { id: "heat-switch", title: "Show the error of every pixel (H)" }, "Heat map");
  private options: { label: string; choice: Choice }[] = [];
  private worker: Worker | undefined;
  /** Of the last measurement asked for; answers to others are of no use. */
  private asked = 0;
  /** One at a time: they take seconds on large screens. */
  private measuring = false;
  private showHeat = false;

  constructor(
    private readonly view: View,
    private readonly changed: () => void,
  ) {
    const scale = h("span", { className: "scale", title: `Black: equal. Brightest: ${100 * HOTTEST} % or more of full scale` });
    this.root.append(
      h("label", { htmlFor: "choice-a" }, "Left"),
      this.left,
      h("label", { htmlFor: "choice-b" }, "Right"),
      this.right,
      h("div", { className: "metrics" }, h("div", {}, h("span", {}, "PSNR "), this.psnr), h("div", {}, h("span", {}, "SSIM "), this.ssim)),
      h("div", { className: "last" }, this.hot, h("span", {}, "0 ", scale, ` ${100 * HOTTEST} %`)),
    );
    this.left.onchange = this.right.onchange = () => this.chosen();
    this.hot.onclick = () => this.toggleHeat();
    this.hot.setAttribute("aria-pressed", "false");
    this.listen();
  }

  get open(): boolean {
    return !this.root.hidden;
  }

  toggle(): void {
    this.root.hidden = this.slider.hidden = this.sides.hidden = this.open;
    this.heat.hidden = true;
    if (this.open) {
      this.offer(this.assets);
      this.choose();
    } else this.view.show(this.view.choices[0], undefined);
    this.changed();
  }

  private assets: readonly Asset[] = [];

  /** What there is to choose from: every scene, and every level of those that have several. */
  offer(assets: readonly Asset[]): void {
    this.assets = assets;
    const options = assets.filter((asset) => asset.state !== "failed" || asset.pieces.length).flatMap((asset) => [
      { label: asset.name, choice: { asset, level: Infinity } },
      ...Array.from({ length: asset.levels > 1 ? asset.levels - 1 : 0 }, (_, level) => ({
        label: level === 0 ? `${asset.name}, level 0` : `${asset.name}, levels 0 to ${level}`,
        choice: { asset, level },
      })),
    ]);
    const labels = options.map(({ label }) => label);
    if (labels.join("\n") === this.options.map(({ label }) => label).join("\n")) {
      this.options = options;
      return;
    }
    const chosen = [this.left.value, this.right.value].map((value) => this.options[Number(value)]?.label);
    this.options = options;
    for (const select of [this.left, this.right]) select.replaceChildren(...labels.map((label, i) => h("option", { value: String(i) }, label)));
    this.left.value = String(Math.max(0, labels.indexOf(chosen[0] ?? "")));
    // Of the right side another scene, or the coarsest level.
    const other = labels.findIndex((_, i) => options[i]!.choice.asset !== options[0]!.choice.asset);
    const known = labels.indexOf(chosen[1] ?? "");
    this.right.value = String(known >= 0 && chosen[1] !== undefined && chosen[1] !== chosen[0] ? known : other >= 0 ? other : Math.min(1, labels.length - 1));
    if (this.open) this.choose();
  }

  /** Keys are the page's again once something is chosen. */
  private chosen(): void {
    this.left.blur();
    this.right.blur();
    this.choose();
  }

  /** Chooses by number: for scripts. */
  select(left: number, right: number): void {
    this.left.value = String(left);
    this.right.value = String(right);
    this.choose();
  }

  toggleHeat(): void {
    this.showHeat = !this.showHeat;
    this.hot.setAttribute("aria-pressed", String(this.showHeat));
    if (!this.showHeat) this.heat.hidden = true;
    this.view.redraw();
  }

  /** After a frame: numbers for a still view, none for one that moves. */
  frame(still: boolean): void {
    if (!this.open || !this.view.comparing) return;
    if (still && !this.measuring && this.view.choices.every((choice) => choice && isComplete(choice.asset))) void this.measure();
    else if (!still) this.unknown();
  }

  /** What was measured is not what is seen. */
  private unknown(): void {
    ++this.asked;
    this.heat.hidden = true;
    this.psnr.textContent = this.ssim.textContent = "\u2013";
  }

  private async measure(): Promise<void> {
    const number = ++this.asked;
    const { pixels: a, width, height } = this.view.capture("a");
    const { pixels: b } = this.view.capture("b");
    this.view.drawn();
    this.measuring = true;
    const found = await this.ask({ number, a, b, width, height });
    this.measuring = false;
    if (number !== this.asked || !this.open) {
      this.view.redraw(); // Measured anew once nothing moves.
      return;
    }
    this.psnr.textContent = decibels(found.psnr);
    this.ssim.textContent = Number.isNaN(found.ssim) ? "\u2013" : found.ssim.toFixed(4);
    if (!this.showHeat) return;
    this.heat.width = width;
    this.heat.height = height;
    this.heat.getContext("2d")!.putImageData(new ImageData(found.heat, width, height), 0, 0);
    this.heat.hidden = false;
  }

  private ask(request: Request): Promise<Difference> {
    this.worker ??= new Worker(new URL("./difference.worker.ts", import.meta.url), { type: "module" });
    const { worker } = this;
    return new Promise((resolve) => {
      worker.onmessage = ({ data }: MessageEvent<{ number: number; found: Difference }>) => {
        if (data.number === request.number) resolve(data.found);
      };
      worker.postMessage(request, [request.a.buffer, request.b.buffer]);
    });
  }

  private choose(): void {
    const a = this.options[Number(this.left.value)];
    const b = this.options[Number(this.right.value)];
    if (!this.open || !a || !b) return;
    byId("side-a", HTMLSpanElement).textContent = a.label;
    byId("side-b", HTMLSpanElement).textContent = b.label;
    this.unknown();
    this.view.show(a.choice, b.choice);
    this.place(this.view.split);
    this.changed();
  }

  private place(split: number): void {
    this.view.split = Math.min(Math.max(split, 0), 1);
    this.slider.style.left = `${100 * this.view.split}%`;
    this.slider.setAttribute("aria-valuenow", String(Math.round(100 * this.view.split)));
    this.view.redrawSplit();
  }

  private listen(): void {
    this.slider.onpointerdown = (event) => {
      this.slider.setPointerCapture(event.pointerId);
      event.preventDefault();
    };
    this.slider.onpointermove = (event) => {
      if (this.slider.hasPointerCapture(event.pointerId)) this.place(event.clientX / innerWidth);
    };
    this.slider.onkeydown = (event) => {
      const step = { ArrowLeft: -0.02, ArrowRight: 0.02, Home: -1, End: 1 }[event.key];
      if (step === undefined) return;
      this.place(this.view.split + step);
      event.preventDefault();
      event.stopPropagation();
    };
  }
}

/** Whether all of a scene that will come is there. */
function isComplete({ state, pieces }: Asset): boolean {
  return pieces.length > 0 && state !== "loading";
}

/** What is known of the scene, and how it is shown. */
import type { Asset } from "./asset.js";
import { rateByLevel, rateByStage } from "./charts.js";
import { byId, bytes, decibels, h, whole } from "./dom.js";
import type { Navigation } from "./view.js";

export const BACKGROUNDS = { black: "#000000", white: "#ffffff", grey: "#808080" } as const;
export type Background = keyof typeof BACKGROUNDS;

/** What the panel sets. */
export interface Settings {
  navigation: Navigation;
  shDegree: number;
  background: Background;
}

export interface Actions {
  set(change: Partial<Settings>): void;
  goTo(bookmark: number): void;
  bookmark(): void;
  forget(): void;
}

export class Panel {
  private readonly root = byId("panel", HTMLElement);
  private drawn = "";

  constructor(private readonly actions: Actions) {}

  get open(): boolean {
    return !this.root.hidden;
  }

  toggle(): void {
    this.root.hidden = this.open;
    document.body.classList.toggle("aside", this.open);
  }

  /** Draws it anew where something has changed. */
  update(asset: Asset | undefined, settings: Settings, bookmarks: number, own: number): void {
    const state = JSON.stringify([asset?.name, asset?.state, asset?.count, asset?.chunks.length, asset?.levels, settings, bookmarks, own]);
    if (state === this.drawn) return;
    this.drawn = state;
    this.root.replaceChildren(...this.display(settings, asset), ...this.places(bookmarks, own), ...(asset ? about(asset) : []));
  }

  private display(settings: Settings, asset: Asset | undefined): Node[] {
    const degree = asset?.metadata?.shDegree ?? 3;
    const degrees = Array.from({ length: degree + 1 }, (_, i) => i);
    const shown = Math.min(settings.shDegree, degree);
    return [
      h("h2", {}, "Display"),
      row("Move", segments(["orbit", "fly"] as const, settings.navigation, (navigation) => this.actions.set({ navigation }))),
      row("SH degree", segments(degrees, shown, (shDegree) => this.actions.set({ shDegree }))),
      row("Background", segments(Object.keys(BACKGROUNDS) as Background[], settings.background, (background) => this.actions.set({ background }))),
    ];
  }

  private places(count: number, own: number): Node[] {
    const places = h("div", { className: "places" });
    for (let i = 0; i < count; ++i) {
      places.append(h("button", { title: `Go to place ${i + 1}`, onclick: () => this.actions.goTo(i) }, String(i + 1)));
    }
    places.append(h("button", { title: "Remember this view (B)", onclick: () => this.actions.bookmark() }, "+"));
    if (own) places.append(h("button", { title: "Those that came with the scene stay", onclick: () => this.actions.forget() }, "Forget mine"));
    return [h("h2", {}, "Places"), places];
  }
}

function about(asset: Asset): Node[] {
  const { metadata, count, fileBytes } = asset;
  const facts: [string, string | undefined][] = [
    ["File", fileBytes === undefined ? undefined : bytes(fileBytes)],
    ["Splats", count === undefined ? undefined : whole(count)],
    ["Rate", count && fileBytes ? `${((8 * fileBytes) / count).toFixed(1)} bit/splat` : undefined],
    ["SH degree", metadata && String(metadata.shDegree)],
    ["Levels", metadata && String(asset.levels)],
    ["Preset", metadata?.preset],
    ["Source", metadata?.sourceName],
    ["Made by", metadata?.encoder],
  ];
  const nodes: Node[] = [h("h2", {}, "Scene"), list(facts)];
  const quality = metadata?.quality;
  if (quality) {
    nodes.push(
      h("h2", {}, "Quality, as the file records it"),
      list([
        ["PSNR", decibels(quality.psnr)],
        ["SSIM", quality.ssim.toFixed(4)],
        ["Views", `${quality.views}, ${quality.width} px wide, ${quality.cameras}`],
        ["Behind it", quality.background],
      ]),
    );
  }
  if (asset.chunks.length && count) nodes.push(h("h2", {}, "Rate by stage, per splat"), rateByStage(asset.chunks, count));
  if (asset.levels > 1) nodes.push(h("h2", {}, "Bytes by level"), rateByLevel(asset.chunks));
  return nodes;
}

function list(facts: readonly (readonly [string, string | undefined])[]): HTMLElement {
  return h("dl", {}, ...facts.filter(([, value]) => value).flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
}

function row(name: string, control: Node): Node {
  return h("div", { className: "row" }, h("span", {}, name), control);
}

function segments<T extends string | number>(values: readonly T[], chosen: T, choose: (value: T) => void): Node {
  const group = h("div", { className: "segments" });
  group.role = "group";
  for (const value of values) {
    const button = h("button", { onclick: () => choose(value), aria: { pressed: String(value === chosen) } }, String(value));
    group.append(button);
  }
  return group;
}

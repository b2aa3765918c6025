/** The viewer: scenes from the server's list, from ?url=, or dropped on the page. */
import "./style.css";

import { type Asset, emptyAsset, load } from "./asset.js";
import { Bookmarks, isPose } from "./bookmarks.js";
import { Compare } from "./compare.js";
import { byId, bytes, decibels, h, whole } from "./dom.js";
import { type Background, BACKGROUNDS, Panel, type Settings } from "./panel.js";
import { Headset } from "./headset.js";
import { Timeline } from "./timeline.js";
import { icons } from "./icons.js";
import { type Pose, View } from "./view.js";

/** What lies beside the page: docs/web_viewer.md. */
interface Listing {
  scenes: { name: string; url: string }[];
  /** Places to look from. */
  views?: Pose[];
}

const query = new URLSearchParams(location.search);
const THEME = "scenepress theme";
const NONE = "\u2013";
let startHash = location.hash;
const view = makeView();
const assets: Asset[] = [];
const settings: Settings = { navigation: "orbit", shDegree: 3, background: "black" };
let chosenBackground = false;
let bookmarks = new Bookmarks("scenepress:");
let loading = new AbortController();
/** Whose arrival has placed the camera. */
let framed: Asset | undefined;
let offered: Pose[] = [];

const timeline = new Timeline(byId("timeline", HTMLDivElement), (time) => (view.pose = bookmarks.at(time)));
const compare = new Compare(view, () => update());
const panel = new Panel({
  set: (change) => set(change),
  goTo: (number) => goTo(number),
  bookmark: () => remember(),
  forget: () => {
    bookmarks.clear();
    update();
  },
});

const headset = new Headset(view, () => update());

interface Tool {
  icon: string;
  name: string;
  key: string;
  run: () => void;
  pressed?: () => boolean;
  /** Always, if not given. */
  there?: () => boolean;
}

const TOOLS: Tool[] = [
  { icon: icons.open, name: "Open files", key: "", run: () => byId("file", HTMLInputElement).click() },
  { icon: icons.frame, name: "See all again", key: "R", run: () => lead() && view.frame(lead()!) },
  { icon: icons.compare, name: "Compare side by side", key: "C", run: () => assets.length && compare.toggle(), pressed: () => compare.open },
  { icon: icons.picture, name: "Save the picture", key: "P", run: () => void savePicture() },
  { icon: icons.headset, name: "In a headset", key: "V", run: () => headset.toggle(), pressed: () => headset.worn, there: () => headset.ready },
  { icon: icons.theme, name: "Dark or light", key: "L", run: () => setTheme(document.documentElement.dataset.theme !== "dark") },
  { icon: icons.panel, name: "About the scene", key: "I", run: () => panel.toggle(), pressed: () => panel.open },
  { icon: icons.help, name: "Help", key: "?", run: () => byId("help", HTMLDialogElement).showModal() },
];
const KEYS: [string, string][] = [
  ["drag, one finger", "turn"],
  ["right drag, two fingers", "move sideways; pinch to come nearer"],
  ["wheel", "come nearer"],
  ["O, F", "orbit, fly"],
  ["W A S D, Q E", "fly: ahead, left, back, right, up and down; shift is faster"],
  ["R", "see all again"],
  ["B, 1 to 9", "remember a place, go to it"],
  ["space", "fly along the places"],
  ["C, H", "compare, heat map"],
  ["P", "save the picture"],
  ["V", "in a headset, if there is one"],
  ["I, L", "about the scene, dark or light"],
];

function set(change: Partial<Settings>): void {
  Object.assign(settings, change);
  if (change.background) chosenBackground = true;
  if (change.navigation) view.navigation = change.navigation;
  if (change.shDegree !== undefined) view.setShDegree(change.shDegree);
  view.setBackground(BACKGROUNDS[settings.background]);
  update();
}

function setTheme(dark: boolean, keep = true): void {
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  try {
    if (keep) localStorage.setItem(THEME, dark ? "dark" : "light");
  } catch {
    // It lasts as long as the page, then.
  }
}

/** The one that was chosen last, else that of the system. */
function firstTheme(): boolean {
  try {
    const kept = localStorage.getItem(THEME);
    if (kept) return kept === "dark";
  } catch {
    // Without storage there is none.
  }
  return !matchMedia("(prefers-color-scheme: light)").matches;
}

/** The scene that the title and the numbers are about: the first that has not failed. */
function lead(): Asset | undefined {
  return assets.find(({ state, pieces }) => state !== "failed" || pieces.length) ?? assets[0];
}

function goTo(number: number): void {
  if (headset.worn) return;
  const pose = bookmarks.all[number];
  if (pose) view.pose = pose;
  settings.navigation = view.navigation;
  update();
}

function remember(): void {
  bookmarks.add(view.pose);
  const number = bookmarks.all.length;
  notify(`Place ${number} is remembered${number > 9 ? "" : `: press ${number} to come back`}.`);
  update();
}

async function savePicture(): Promise<void> {
  const url = URL.createObjectURL(await view.screenshot());
  const name = (lead()?.name ?? "scene").replace(/\.[^.]*$/, "");
  h("a", { href: url, download: `${name}.png` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** Opens scenes in place of those that are open, or beside them. */
function openAll(sources: readonly { name: string; source: string | File }[], beside = false): void {
  if (!beside) {
    if (headset.worn) headset.toggle();
    byId("notices", HTMLDivElement).replaceChildren();
    loading.abort();
    loading = new AbortController();
    for (const asset of assets.splice(0)) for (const { splats } of asset.pieces) splats.dispose();
    if (compare.open) compare.toggle();
    view.show(undefined);
    framed = undefined;
    view.touched = false;
    bookmarks = new Bookmarks(`scenepress:${sources[0]?.name ?? ""}`);
    bookmarks.offer(offered);
  }
  const { signal } = loading;
  for (const { name, source } of sources) {
    const asset = emptyAsset(name);
    assets.push(asset);
    const near = (of: Asset) => (framed ? view.near(of) : undefined);
    void load(asset, source, { signal, near, changed: (of) => signal.aborted || arrived(of) });
  }
  const first = lead();
  if (first && !view.choices[0]) view.show({ asset: first, level: Infinity });
  update();
}

function arrived(asset: Asset): void {
  if (asset.message && (asset.state === "failed" || asset.state === "cut short") && !told.has(asset)) {
    told.add(asset);
    notify(asset.message, asset.state === "failed" ? asset.name : "");
  }
  if (asset.state === "failed" && !compare.open && view.choices[0]?.asset === asset && !asset.pieces.length) {
    const other = lead();
    if (other && other !== asset) view.show({ asset: other, level: Infinity });
  }
  if (asset === lead() && asset.pieces.length) place(asset);
  view.refresh();
  update();
}
const told = new WeakSet<Asset>();

/** Places the camera by the first pieces, and again as others of the first level come: of several tiles the first is but a
 * corner. Not once somebody has moved. */
function place(asset: Asset): void {
  const coarse = asset.pieces.filter(({ level }) => level === 0).length;
  if (framed === asset && (view.touched || coarse === framedPieces)) return;
  framedPieces = coarse;
  if (framed !== asset) {
    framed = asset;
    const recorded = asset.metadata?.quality?.background;
    if (!chosenBackground && recorded && recorded in BACKGROUNDS) settings.background = recorded as Background;
    view.setBackground(BACKGROUNDS[settings.background]);
    if (startPose()) return;
  }
  view.frame(asset);
}
let framedPieces = 0;

/** The place that the address names, or the first that came with the scene. */
function startPose(): boolean {
  const hash = startHash;
  startHash = ""; // It is about the scene that the address names, not about those that are dropped later.
  try {
    const named: unknown = JSON.parse(decodeURIComponent(hash.slice(1)) || "null");
    if (isPose(named)) {
      view.pose = named;
      return true;
    }
  } catch {
    // A hash that is none of ours.
  }
  if (!offered[0]) return false;
  view.pose = offered[0];
  return true;
}

function notify(text: string, bad = ""): void {
  const named = bad && !text.startsWith(bad);
  const notice = h("div", { className: bad ? "notice bad" : "notice" }, h("div", {}, named ? h("b", {}, `${bad}: `) : "", text));
  notice.append(h("button", { title: "Close", aria: { label: "Close" }, onclick: () => notice.remove() }, "\u2715"));
  byId("notices", HTMLDivElement).append(notice);
  if (!bad) setTimeout(() => notice.remove(), 6000);
}

/** Draws all that is around the scene. */
function update(): void {
  const asset = lead();
  byId("empty", HTMLDivElement).hidden = assets.length > 0;
  for (const id of ["title", "numbers"]) byId(id, HTMLElement).hidden = !asset;
  settings.navigation = view.navigation;
  panel.update(asset, settings, bookmarks.all.length, bookmarks.own);
  compare.offer(assets);
  timeline.setDuration(bookmarks.duration);
  TOOLS.forEach(({ pressed, there }, i) => {
    const button = byId("tools", HTMLElement).children[i] as HTMLButtonElement;
    if (pressed) button.setAttribute("aria-pressed", String(pressed()));
    button.hidden = there !== undefined && !there();
  });
  if (asset) {
    const quality = asset.metadata?.quality;
    const record = quality ? `${decibels(quality.psnr)}, SSIM ${quality.ssim.toFixed(3)}` : asset.metadata?.codec === "lossless" ? "lossless" : "";
    byId("title", HTMLElement).replaceChildren(h("b", { title: asset.name }, asset.name), h("span", { title: "Against the source, as the file records it" }, record));
    document.title = `${asset.name} - scenepress`;
  }
  progress();
  numbers();
}

function progress(): void {
  const open = assets.filter(({ state }) => state === "loading");
  const known = assets.reduce((sum, { fileBytes }) => sum + (fileBytes ?? 0), 0);
  const share = known ? Math.min(1, assets.reduce((sum, { fetchedBytes }) => sum + fetchedBytes, 0) / known) : 0;
  const bar = byId("progress", HTMLDivElement);
  bar.style.opacity = open.length ? "1" : "0";
  bar.setAttribute("aria-valuenow", String(Math.round(100 * share)));
  (bar.firstElementChild as HTMLElement).style.width = `${100 * share}%`;
}

const shownNumbers = new Map<string, HTMLElement>();

function numbers(): void {
  const asset = lead();
  if (!asset) return;
  const { count, fileBytes, fetchedBytes, loaded, decodeMilliseconds } = asset;
  number("FPS", view.fps && view.splats ? (view.fps < 10 ? view.fps.toFixed(1) : view.fps.toFixed(0)) : "\u2013", "4ch");
  number("splats", count && loaded < count ? `${whole(view.splats)} of ${whole(count)}` : whole(view.splats), "7ch");
  number("ms sort", view.splats ? view.sortMilliseconds.toFixed(0) : NONE, "3ch");
  number("ms decode", decodeMilliseconds ? whole(decodeMilliseconds) : NONE, "3ch");
  number("fetched", fileBytes === undefined ? NONE : fetchedBytes < fileBytes ? `${bytes(fetchedBytes)} of ${bytes(fileBytes)}` : bytes(fileBytes), "6ch");
  number("bit/splat", fileBytes !== undefined && count ? ((8 * fileBytes) / count).toFixed(1) : NONE, "4ch");
}

/** Numbers keep their places: widths are those of the widest usual value. */
function number(name: string, value: string, width: string): void {
  let shown = shownNumbers.get(name);
  if (!shown) {
    shown = h("b", { data: { number: name } });
    shown.style.minWidth = width;
    shownNumbers.set(name, shown);
    byId("numbers", HTMLElement).append(h("div", {}, shown, h("span", {}, name)));
  }
  if (shown.textContent !== value) shown.textContent = value;
}

function build(): void {
  setTheme(firstTheme(), false);
  for (const { icon, name, key, run } of TOOLS) {
    const button = h("button", { title: key ? `${name} (${key})` : name, aria: { label: name }, onclick: () => (run(), update()) });
    button.innerHTML = icon;
    byId("tools", HTMLElement).append(button);
  }
  byId("help", HTMLDialogElement).append(
    h("h1", {}, "Keys"),
    h("dl", {}, ...KEYS.flatMap(([keys, what]) => [h("dt", {}, h("kbd", {}, keys)), h("dd", {}, what)])),
    h("button", { onclick: () => byId("help", HTMLDialogElement).close() }, "Close"),
  );
  byId("empty", HTMLDivElement).append(
    h(
      "div",
      {},
      h("h1", {}, "Drop a scene here"),
      h("p", {}, ".press, or .ply, .spz, .splat, .ksplat, .sog. Two files are compared. Nothing leaves this computer."),
      h("button", { onclick: () => byId("file", HTMLInputElement).click() }, "Choose files"),
    ),
  );
  view.onFrame = (still) => {
    compare.frame(still);
    numbers();
  };
  set({});
  chosenBackground = false;
}

function listen(): void {
  const chosen = byId("file", HTMLInputElement);
  chosen.onchange = () => {
    openFiles([...(chosen.files ?? [])]);
    chosen.value = "";
  };
  addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.add("dropping");
  });
  addEventListener("dragleave", (event) => event.relatedTarget === null && document.body.classList.remove("dropping"));
  addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("dropping");
    openFiles([...(event.dataTransfer?.files ?? [])]);
  });
  addEventListener("keydown", key);
}

function openFiles(files: readonly File[]): void {
  if (!files.length) return;
  offered = [];
  openAll(files.map((file) => ({ name: file.name, source: file })));
  if (files.length > 1 && !compare.open) compare.toggle();
}

function key(event: KeyboardEvent): void {
  if (event.ctrlKey || event.metaKey || event.altKey || byId("help", HTMLDialogElement).open) return;
  if (event.target instanceof HTMLSelectElement || event.target instanceof HTMLInputElement) return;
  const pressed = event.key.toUpperCase();
  if (headset.worn && pressed !== "V") return; // The page is not what is seen.
  const tool = TOOLS.find((one) => one.key === pressed && one.key !== "");
  if (tool && (tool.there?.() ?? true)) tool.run();
  else if (pressed === "O") set({ navigation: "orbit" });
  else if (pressed === "F") set({ navigation: "fly" });
  else if (pressed === "B") remember();
  else if (pressed === "H" && compare.open) compare.toggleHeat();
  else if (pressed === " " && timeline.visible && !(event.target instanceof HTMLButtonElement)) timeline.toggle();
  else if (/^[1-9]$/.test(pressed)) goTo(Number(pressed) - 1);
  else return;
  event.preventDefault();
  update();
}

/** The file's name in an address. */
function nameOf(url: string): string {
  const path = new URL(url, location.href).pathname.split("/").at(-1) ?? "";
  try {
    return decodeURIComponent(path) || url;
  } catch {
    return path;
  }
}

/** The view, or a word of why there is none. */
function makeView(): View {
  try {
    return new View(byId("canvas", HTMLCanvasElement));
  } catch (error) {
    byId("fallback", HTMLDivElement).textContent = `This browser gives no WebGL 2, which the viewer draws with. (${(error as Error).message})`;
    throw error;
  }
}

/** Scenes of the address, or of the list beside the page. */
async function start(): Promise<void> {
  byId("fallback", HTMLDivElement).remove();
  build();
  listen();
  const named = query.getAll("url");
  if (named.length) openAll(named.map((url) => ({ name: nameOf(url), source: url })));
  else {
    const response = await fetch("./scenes.json");
    const listing = (response.ok ? await response.json() : { scenes: [] }) as Listing;
    if (assets.length) return; // Somebody was quicker, and dropped a file.
    offered = (listing.views ?? []).filter(isPose);
    openAll(listing.scenes.map(({ name, url }) => ({ name, source: new URL(url, location.href).href })));
  }
  if (assets.length > 1 || query.has("compare")) compare.toggle();
  update();
}

/** For scripts and tests. */
Object.assign(window, { scenepress: { view, assets, compare, headset, bookmarks: () => bookmarks, set, openAll } });

start().catch((error: unknown) => notify((error as Error).message, "scenepress"));

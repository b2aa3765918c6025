// How long decoders take to load files, in headless Chromium: node measure.mjs CONFIG.json, which holds `chromium`,
// `repeats` and `files`, a list of {loader, path}. Prints a line of JSON for each, with all its fields.
import { createReadStream, readdirSync, readFileSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

import { chromium } from "playwright-core";

const { chromium: executablePath, repeats, files } = JSON.parse(readFileSync(process.argv[2], "utf-8"));
const here = fileURLToPath(new URL(".", import.meta.url));
const web = fileURLToPath(new URL("../../../viewers/web", import.meta.url));
const TYPES = { ".js": "text/javascript", ".html": "text/html", ".wasm": "application/wasm", ".json": "application/json" };

// The viewer's own worker, as it is shipped.
const packing = readdirSync(join(web, "dist/assets")).filter((name) => name.startsWith("decode.worker")).map((name) => `/viewer/assets/${name}`);

function fileOf(path) {
  const safe = normalize(path);
  if (safe.startsWith("/files/")) return files[Number(safe.slice(7))].path;
  if (safe.startsWith("/decoder/")) return join(web, "decoder/dist", safe.slice(9));
  if (safe.startsWith("/viewer/")) return join(web, "dist", safe.slice(8));
  return join(here, safe);
}

const server = createServer((request, response) => {
  const path = request.url.split("?")[0];
  if (path === "/packing") return void response.writeHead(200, { "Content-Type": TYPES[".json"] }).end(JSON.stringify(packing));
  const file = fileOf(path);
  try {
    response.writeHead(200, { "Content-Type": TYPES[extname(file)] ?? "application/octet-stream", "Content-Length": statSync(file).size });
    createReadStream(file).pipe(response);
  } catch {
    response.writeHead(404).end();
  }
}).listen(0, "127.0.0.1");

const browser = await chromium.launch({
  executablePath,
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"],
});
const version = browser.version();

// The viewer itself: from its start until the last level is there, and the tasks that kept its thread from answering
// in that time. Software WebGL holds the thread until a frame is done; without frames what is left is the decoder's.
async function inViewer(page, base, url, drawing) {
  await page.addInitScript((frames) => {
    if (!frames) window.requestAnimationFrame = () => 0;
    window.longTasks = [];
    new PerformanceObserver((list) => window.longTasks.push(...list.getEntries().map(({ startTime, duration }) => [startTime, duration]))).observe({ type: "longtask" });
  }, drawing);
  await page.goto(`${base}/viewer/index.html?url=${url}`);
  const ended = await page.waitForFunction(() => {
    const [asset] = window.scenepress?.assets ?? [];
    return asset && asset.state !== "loading" && { state: asset.state, splats: asset.loaded, at: performance.now() };
  }, null, { polling: 10, timeout: 120_000 });
  const { state, splats, at } = await ended.jsonValue();
  if (state !== "whole") throw new Error(`the viewer says: ${state}`);
  // From the first bytes of the scene on: what comes before is the page and WebGL starting.
  const first = await page.evaluate((part) => Math.min(...performance.getEntriesByType("resource").filter(({ name }) => name.includes(part)).map(({ responseEnd }) => responseEnd)), url);
  const tasks = (await page.evaluate(() => window.longTasks)).filter(([start]) => start >= first && start < at);
  return { seconds: [at / 1000], longest_task_ms: Math.max(0, ...tasks.map(([, length]) => length)), long_tasks: tasks.length, splats };
}

for (const [number, file] of files.entries()) {
  const page = await browser.newPage();
  page.on("console", (m) => m.type() === "error" && console.error(m.text()));
  page.on("pageerror", (e) => console.error(e.message));
  const base = `http://127.0.0.1:${server.address().port}`;
  const { path, ...fields } = file;
  let found;
  if (file.loader.startsWith("viewer")) {
    found = await inViewer(page, base, `/files/${number}`, file.loader === "viewer");
  } else {
    await page.goto(`${base}/page.html`);
    await page.waitForFunction(() => window.measure);
    found = await page.evaluate(([loader, url, n]) => window.measure(loader, url, n), [file.loader, `/files/${number}`, repeats]);
  }
  console.log(JSON.stringify({ ...fields, browser: `Chromium ${version}`, ...found }));
  await page.close();
}
await browser.close();
server.close();

// Frames a second, load time, memory and pixels of two splat renderers on one scene, in headless Chromium with
// software WebGL2: node compare.mjs SCENE.ply CAMERAS.cams.txt OUT. Writes OUT/RENDERER-VIEW.png, prints JSON lines.
import { createReadStream, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

import { chromium } from "playwright-core";

const [scene, cameras, out] = process.argv.slice(2);
const here = fileURLToPath(new URL(".", import.meta.url));
const TYPES = { ".js": "text/javascript", ".mjs": "text/javascript", ".html": "text/html", ".wasm": "application/wasm" };
const VIEWS = 2, SECONDS = 10;

const server = createServer((request, response) => {
  const path = request.url.split("?")[0];
  const file = path === "/scene.ply" ? scene : join(here, normalize(path));
  try {
    response.writeHead(200, { "Content-Type": TYPES[extname(file)] ?? "application/octet-stream", "Content-Length": statSync(file).size });
    createReadStream(file).pipe(response);
  } catch {
    response.writeHead(404).end();
  }
}).listen(0, "127.0.0.1");

// Column-major camera to world, x right, y up, z back; and the field of view in degrees.
function viewOf(line) {
  const v = line.trim().split(/\s+/).map(Number);
  const r = [v.slice(0, 3), v.slice(3, 6), v.slice(6, 9)], t = v.slice(9, 12);
  const eye = [0, 1, 2].map((k) => -(r[0][k] * t[0] + r[1][k] * t[1] + r[2][k] * t[2]));
  const matrix = [...r[0], 0, ...r[1].map((x) => -x), 0, ...r[2].map((x) => -x), 0, ...eye, 1];
  return { matrix, fov: (2 * Math.atan(200 / v[13]) * 180) / Math.PI };
}
const views = readFileSync(cameras, "utf-8").split("\n").filter((l) => l && l[0] !== "#").slice(0, VIEWS).map(viewOf);

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"],
});
mkdirSync(out, { recursive: true });
for (const renderer of ["spark", "spark&plain", "playcanvas"]) {
  const page = await browser.newPage({ viewport: { width: 400, height: 400 } });
  page.on("console", (m) => m.type() === "error" && console.error(renderer, m.text()));
  page.on("pageerror", (e) => console.error(renderer, e.message));
  await page.goto(`http://127.0.0.1:${server.address().port}/page.html?renderer=${renderer}`);
  await page.waitForFunction(() => window.start);
  const about = await page.evaluate(async () => {
    window.it = await window.start("/scene.ply", false);
    return { version: window.it.version, loaded_ms: Math.round(window.it.loaded) };
  });
  for (const [number, view] of views.entries()) {
    await page.evaluate(async ({ matrix, fov }) => {
      const frame = () => new Promise((done) => requestAnimationFrame(done));
      window.it.look(matrix, fov);
      const start = performance.now();
      do {
        window.it.draw();
        await frame();
      } while (performance.now() - start < 4000 || !window.it.settled());
      window.it.draw();
      await frame();
    }, view);
    writeFileSync(join(out, `${renderer}-${number}.png`), await page.screenshot());
  }
  const still = await page.evaluate(async () => {
    const times = [];
    for (let k = 0; k < 5; ++k) {
      const start = performance.now();
      window.it.draw();
      await new Promise((done) => requestAnimationFrame(done));
      window.it.finish();
      times.push(performance.now() - start);
    }
    return { still_ms: Math.round(times.sort((a, b) => a - b)[2]) };
  });
  // The camera goes back and forth between two views, so that the order changes with every frame.
  const frames = await page.evaluate(async ({ views, seconds }) => {
    const frame = () => new Promise((done) => requestAnimationFrame(done));
    const times = [];
    const start = performance.now();
    let last = start;
    while (last - start < seconds * 1000) {
      const s = 0.5 + 0.5 * Math.sin((last - start) / 1500), [a, b] = views;
      const matrix = [...a.matrix];
      for (let k = 12; k < 15; ++k) matrix[k] = a.matrix[k] + 0.2 * s * (b.matrix[k] - a.matrix[k]);
      window.it.look(matrix, a.fov);
      window.it.draw();
      window.it.finish();
      await frame();
      const now = performance.now();
      times.push(now - last);
      last = now;
    }
    times.sort((p, q) => p - q);
    return { fps: (1000 * times.length) / (last - start), worst_ms: Math.round(times.at(-1)), p95_ms: Math.round(times[Math.floor(0.95 * times.length)]) };
  }, { views, seconds: SECONDS });
  const heap = await page.evaluate(() => performance.memory.usedJSHeapSize);
  console.log(JSON.stringify({ renderer, ...about, ...still, ...frames, heap_mb: Math.round(heap / 1e6) }));
  await page.close();
}
await browser.close();
server.close();

// Renders an animated glTF model: node render.mjs CONFIG.json, which holds `chromium`, `model`, `out`, what begin() of
// page.html takes, and `frames`, a list of {file, matrix, time}. Prints a line of JSON first, what the model is, and then a
// line for every frame that is done.
import { createReadStream, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { basename, dirname, extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

import { chromium } from "playwright-core";

const { chromium: executablePath, model, out, frames, ...options } = JSON.parse(readFileSync(process.argv[2], "utf-8"));
const here = fileURLToPath(new URL(".", import.meta.url));
const TYPES = { ".js": "text/javascript", ".html": "text/html", ".wasm": "application/wasm" };

const server = createServer((request, response) => {
  const path = normalize(decodeURIComponent(request.url.split("?")[0]));
  const file = path.startsWith("/model/") ? join(dirname(model), path.slice(7)) : join(here, path);
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
try {
  const page = await browser.newPage();
  page.on("console", (m) => m.type() === "error" && console.error(m.text()));
  page.on("pageerror", (e) => console.error(e.message));
  await page.goto(`http://127.0.0.1:${server.address().port}/page.html`);
  await page.waitForFunction(() => window.ready);
  const url = `/model/${encodeURIComponent(basename(model))}`;
  console.log(JSON.stringify(await page.evaluate((all) => window.begin(all), { url, ...options })));
  for (const { file, ...frame } of frames) {
    const path = join(out, file);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, Buffer.from(await page.evaluate((one) => window.draw(one), frame), "base64"));
    console.log(JSON.stringify({ file }));
  }
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
} finally {
  await browser.close();
  server.close();
}

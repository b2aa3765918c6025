// Drives the viewer in headless Chromium: node viewer.mjs CONFIG.json. CONFIG holds `out`, a folder for pictures and
// pixels, and `scenarios`, a list of {name, kind, url, ...}. Prints a JSON object: what every scenario found.
import { readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";

import { chromium } from "playwright-core";

const config = JSON.parse(readFileSync(process.argv[2], "utf-8"));
const TIMEOUT = 90_000;

const browser = await chromium.launch({
  executablePath: config.chromium,
  args: [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
  ],
});

const assets = (page) =>
  page.evaluate(() =>
    window.scenepress.assets.map(({ name, state, message, loaded, count, levels, fileBytes, fetchedBytes }) => ({
      name, state, message, loaded, count, levels, fileBytes, fetchedBytes,
    })),
  );

const loaded = (page) =>
  page.waitForFunction(
    () => window.scenepress?.assets.length > 0 && window.scenepress.assets.every(({ state }) => state !== "loading"),
    null,
    { timeout: TIMEOUT },
  );

// Until what is drawn is complete and in order, and the page has noticed that nothing moves.
async function settled(page) {
  await page.waitForTimeout(300);
  await page.waitForFunction(() => window.scenepress.view.settled, null, { timeout: TIMEOUT });
  await page.waitForTimeout(700);
  await page.waitForFunction(() => window.scenepress.view.settled, null, { timeout: TIMEOUT });
}

const picture = (page, name) => page.screenshot({ path: join(config.out, `${name}.png`) });

async function pixels(page, name, side = "a") {
  const { width, height, text } = await page.evaluate((which) => {
    const { view } = window.scenepress;
    const { width, height, pixels } = view.capture(which);
    view.drawn();
    let text = "";
    for (let i = 0; i < pixels.length; i += 8192) text += String.fromCharCode(...pixels.subarray(i, i + 8192));
    return { width, height, text: btoa(text) };
  }, side);
  writeFileSync(join(config.out, `${name}.rgba`), Buffer.from(text, "base64"));
  return { width, height };
}

const pose = (page, value) => page.evaluate((to) => (window.scenepress.view.pose = to), value);

// A file of this machine, dropped on the page.
async function drop(page, path) {
  const bytes = readFileSync(path).toString("base64");
  await page.evaluate(
    ({ name, text }) => {
      const data = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
      const transfer = new DataTransfer();
      transfer.items.add(new File([data], name));
      window.dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
    },
    { name: basename(path), text: bytes },
  );
}

const KINDS = {
  // Waits for all of a scene, and looks at it from a given place.
  async load(page, { name, pose: to }) {
    await loaded(page);
    if (to) await pose(page, to);
    await settled(page);
    const size = await pixels(page, name);
    const numbers = await page.locator("#numbers").innerText();
    return { size, numbers, splats: await page.evaluate(() => window.scenepress.view.splats) };
  },

  async compare(page, { name, pose: to, left, right }) {
    await loaded(page);
    await pose(page, to);
    if (await page.locator("#compare").isHidden()) await page.keyboard.press("c");
    if (left !== undefined) await page.evaluate(([a, b]) => window.scenepress.compare.select(a, b), [left, right]);
    const measured = () => page.waitForFunction(() => /\d/.test(document.getElementById("psnr").textContent), null, { timeout: TIMEOUT });
    await settled(page);
    await measured();
    const [psnr, ssim] = await Promise.all(["#psnr", "#ssim"].map((id) => page.locator(id).innerText()));
    const sizes = [await pixels(page, `${name}-a`, "a"), await pixels(page, `${name}-b`, "b")];
    const handle = await page.locator("#split").boundingBox();
    await page.mouse.move(handle.x + handle.width / 2, handle.y + 0.8 * handle.height);
    await page.mouse.down();
    await page.mouse.move(100, handle.y + 0.8 * handle.height, { steps: 3 });
    await page.mouse.up();
    const split = await page.evaluate(() => window.scenepress.view.split);
    await picture(page, `${name}-split`);
    await page.keyboard.press("h");
    await page.waitForFunction(() => !document.getElementById("heat").hidden, null, { timeout: TIMEOUT });
    const options = await page.locator("#choice-b option").allInnerTexts();
    return { psnr, ssim, sizes, split, options };
  },

  async drop(page, { files }) {
    for (const path of files) await drop(page, path);
    await loaded(page);
    await settled(page);
    return { splats: await page.evaluate(() => window.scenepress.view.splats) };
  },

  // Bytes that had left the server when the first splats were on the screen.
  async slow(page, { name, counter, whole }) {
    await page.waitForFunction(() => window.scenepress?.view.splats > 0, null, { timeout: TIMEOUT, polling: 20 });
    const sent = Number(await (await fetch(counter)).text());
    const early = await page.evaluate(() => window.scenepress.view.splats);
    if (whole === false) return { sent, early };
    await page.waitForFunction(() => window.scenepress.view.settled, null, { timeout: TIMEOUT, polling: 20 });
    await picture(page, `${name}-first`);
    await loaded(page);
    await settled(page);
    return { sent, early, splats: await page.evaluate(() => window.scenepress.view.splats) };
  },

  // Anything that goes wrong is told, and what there is stays.
  async broken(page) {
    await loaded(page);
    await page.waitForSelector(".notice", { timeout: TIMEOUT });
    await page.waitForTimeout(500);
    const notice = await page.locator(".notice").first().innerText();
    return { notice, splats: await page.evaluate(() => window.scenepress.view.splats) };
  },

  // Every control once.
  async controls(page, { name }) {
    await loaded(page);
    await settled(page);
    const found = {};
    const at = () => page.evaluate(() => window.scenepress.view.pose.matrix.map((x) => Math.round(1e4 * x)).join());
    const moved = async (what, run) => {
      const before = await at();
      await run();
      await page.waitForTimeout(400);
      found[what] = (await at()) !== before;
    };
    await moved("drag", async () => {
      await page.mouse.move(300, 300);
      await page.mouse.down();
      await page.mouse.move(380, 330, { steps: 4 });
      await page.mouse.up();
    });
    await moved("wheel", () => page.mouse.wheel(0, -300));
    await page.keyboard.press("b");
    await moved("reset", () => page.keyboard.press("r"));
    await page.keyboard.press("b");
    await moved("bookmark", () => page.keyboard.press("1"));
    await moved("play", async () => {
      await page.keyboard.press(" ");
      await page.waitForTimeout(700);
    });
    await page.keyboard.press(" ");
    await page.keyboard.press("f");
    found.flying = await page.evaluate(() => window.scenepress.view.navigation);
    await moved("fly", async () => {
      await page.keyboard.down("w");
      await page.waitForTimeout(500);
      await page.keyboard.up("w");
    });
    await page.keyboard.press("i");
    found.panel = await page.locator("#panel").innerText();
    await settled(page);
    await picture(page, `${name}-panel`);
    await page.keyboard.press("l");
    found.theme = await page.evaluate(() => document.documentElement.dataset.theme);
    await page.keyboard.press("?");
    found.help = await page.locator("#help").innerText();
    await picture(page, `${name}-help`);
    await page.keyboard.press("Escape");
    const download = page.waitForEvent("download");
    await page.keyboard.press("p");
    const saved = await download;
    await saved.saveAs(join(config.out, `${name}-saved.png`));
    found.saved = saved.suggestedFilename();
    await page.reload();
    await loaded(page);
    found.kept = await page.evaluate(() => window.scenepress.bookmarks().all.length);
    return found;
  },

  // A rolled camera, which flies: at rest nothing is drawn, and what is measured stands.
  async rest(page, { pose: to }) {
    await loaded(page);
    await pose(page, to);
    await page.keyboard.press("c");
    await page.evaluate(() => window.scenepress.compare.select(0, 1));
    await settled(page);
    await page.waitForFunction(() => /\d/.test(document.getElementById("psnr").textContent), null, { timeout: TIMEOUT });
    const frames = await page.evaluate(async () => {
      const { view } = window.scenepress;
      const told = view.onFrame;
      let count = 0;
      view.onFrame = (still) => {
        if (!still) ++count;
        told(still);
      };
      await new Promise((done) => setTimeout(done, 2500));
      return count;
    });
    return { frames, flying: await page.evaluate(() => window.scenepress.view.navigation), psnr: await page.locator("#psnr").innerText() };
  },

  // The first of two scenes is missing: the other one is shown. Then a file that is none is dropped.
  async second(page, { name, rubbish }) {
    await loaded(page);
    await settled(page);
    const splats = await page.evaluate(() => window.scenepress.view.splats);
    const title = await page.locator("#title").innerText();
    const far = await page.evaluate(() => window.scenepress.view.pose.matrix.slice(12, 15));
    await picture(page, `${name}-shown`);
    await drop(page, rubbish);
    await loaded(page);
    return { splats, title, far, numbers: await page.locator("#numbers").innerText(), notices: await page.locator(".notice").count() };
  },

  // An emulated headset: put on, moved, taken off.
  async headset(page, { name }) {
    await loaded(page);
    await settled(page);
    const state = () => page.evaluate(() => ({ worn: window.scenepress.headset.worn, presenting: window.scenepress.view.renderer.xr.isPresenting, pose: window.scenepress.view.pose.matrix }));
    const before = await state();
    await page.waitForSelector("#tools [aria-label='In a headset']:not([hidden])", { timeout: TIMEOUT });
    await page.keyboard.press("v");
    await page.waitForFunction(() => window.scenepress.view.renderer.xr.isPresenting && window.scenepress.view.settled, null, { timeout: TIMEOUT });
    const eyes = () => page.evaluate(() => {
      const { renderer } = window.scenepress.view;
      return renderer.xr.getCamera().cameras.map(({ matrixWorld }) => matrixWorld.toArray());
    });
    await page.waitForFunction(() => window.scenepress.view.renderer.xr.getCamera().cameras.length === 2, null, { timeout: TIMEOUT });
    const worn = { ...(await state()), eyes: await eyes() };
    await page.waitForTimeout(2000);
    await picture(page, `${name}-worn`);
    await page.evaluate(() => (window.xrDevice.position.x += 0.3));
    await page.waitForTimeout(1500);
    const moved = await eyes();
    await page.keyboard.press("v");
    await page.waitForFunction(() => !window.scenepress.headset.worn, null, { timeout: TIMEOUT });
    await settled(page);
    return { before, worn, moved, after: await state() };
  },

  // Nothing is open: the page says what to do.
  async empty(page) {
    await page.waitForSelector("#empty h1", { timeout: TIMEOUT });
    return { text: await page.locator("#empty").innerText() };
  },

  // The decoder alone, in the page: as decode.mjs.
  async conformance(page, { streams, decoder, hashes }) {
    return page.evaluate(
      async ({ streams, decoder, hashes }) => {
        const [{ open }, { hashesOf }] = await Promise.all([import(decoder), import(hashes)]);
        const results = [];
        for (const url of streams) results.push(await hashesOf(open, url));
        return { results };
      },
      { streams, decoder, hashes },
    );
  },
};

const results = {};
for (const scenario of config.scenarios) {
  const context = await browser.newContext({ viewport: scenario.viewport ?? { width: 800, height: 600 }, hasTouch: scenario.touch ?? false, acceptDownloads: true });
  const page = await context.newPage();
  const errors = [];
  page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
  page.on("pageerror", (error) => errors.push(error.message));
  try {
    if (scenario.kind === "headset") {
      await page.addInitScript({ content: readFileSync(new URL("./node_modules/iwer/build/iwer.min.js", import.meta.url), "utf-8") });
      await page.addInitScript(() => (window.xrDevice = new IWER.XRDevice(IWER.metaQuest3)).installRuntime({ forceInstall: true }));
    }
    await page.goto(scenario.url);
    const found = await KINDS[scenario.kind](page, scenario);
    const open = scenario.kind === "conformance" ? [] : await assets(page);
    results[scenario.name] = { ...found, assets: open, errors };
  } catch (error) {
    results[scenario.name] = { failed: error.message, errors };
  }
  await picture(page, scenario.name).catch(() => undefined);
  await context.close();
}
await browser.close();
console.log(JSON.stringify(results));

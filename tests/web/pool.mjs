// The decoder's pool in Node: node pool.mjs FILE. Prints a JSON object: what each case came to. A case that hangs is "hangs".
import { readFileSync } from "node:fs";
import { Worker } from "node:worker_threads";

import { open, Pool } from "../../viewers/web/decoder/dist/index.js";
import { hashesOf } from "./hashes.mjs";

const bytes = readFileSync(process.argv[2]);
const workers = [];

// As much of the browser's Worker as the pool uses.
class Port {
  constructor(kind) {
    this.worker = new Worker(new URL("./pool.worker.mjs", import.meta.url), { workerData: kind });
    this.worker.on("message", (data) => this.onmessage({ data }));
    this.worker.on("error", (error) => this.onerror({ message: error.message }));
    this.asked = [];
    workers.push(this);
  }
  postMessage(data, transfer) {
    this.asked.push(data.question.kind);
    this.worker.postMessage(data, transfer);
  }
  terminate() {
    void this.worker.terminate();
  }
}

async function ended(what) {
  const late = new Promise((resolve) => setTimeout(() => resolve("hangs"), 5000));
  return Promise.race([Promise.resolve().then(what).catch((error) => `${error.name}: ${error.message}`), late]);
}

// A source that counts what was read of it.
function counting() {
  const reader = { size: bytes.length, reads: 0, async read(offset, length) {
    reader.reads += 1;
    await new Promise((done) => setTimeout(done, 5));
    return bytes.subarray(offset, offset + length);
  } };
  return reader;
}

const count = (kind) => workers.reduce((sum, { asked }) => sum + asked.filter((one) => one === kind).length, 0);
const results = {};
const pool = new Pool(() => new Port("good"), 2);
results.whole = await ended(() => hashesOf((source) => open(source, { pool }), bytes));
results.two = await ended(async () => {
  const both = await Promise.all([1, 2].map(() => hashesOf((source) => open(source, { pool }), bytes)));
  return JSON.stringify(both[0]) === JSON.stringify(both[1]) && JSON.stringify(both[0]) === JSON.stringify(results.whole);
});
results.stopped = await ended(async () => {
  const reader = counting();
  const file = await open(reader, { pool });
  for await (const part of file.parts()) if (part) break;
  const { reads } = reader;
  await new Promise((done) => setTimeout(done, 200));
  return { after: reader.reads - reads, left: count("make") - count("close") };
});
results.closed = await ended(async () => {
  (await open(bytes, { pool })).close();
  return count("make") - count("close");
});
results.aborted = await ended(async () => {
  const abort = new AbortController();
  const file = await open(bytes, { pool });
  let after = 0;
  for await (const part of file.parts({ signal: abort.signal })) {
    if (abort.signal.aborted) after += part.place.count;
    abort.abort(new Error("enough"));
  }
  return after;
});
results.levels = await ended(async () => {
  for await (const part of (await open(bytes, { pool })).parts({ levels: NaN })) return part.place;
});
pool.dispose();
results.disposed = await ended(() => open(bytes, { pool }));
const broken = new Pool(() => new Port("broken"), 1);
results.broken = await ended(() => open(bytes, { pool: broken }));
results.again = await ended(() => open(bytes, { pool: broken }));
const angry = new Pool(() => new Port("angry"), 1);
results.angry = await ended(async () => {
  for await (const part of (await open(bytes, { pool: angry })).parts()) return part.place;
});
angry.dispose();
results.none = await ended(() => new Pool(() => new Port("good"), 0));
console.log(JSON.stringify(results));
process.exit(0);

// How fast and in how much memory the web decoder decodes a file: node speed.mjs FILE REPEATS. Prints a line of JSON: seconds of
// every repeat after as many that are not counted, bytes of the module's memory, splats, floats of a splat, and the
// bytes that must come before something can be shown.
import { readFileSync } from "node:fs";

const instances = [];
const instantiate = WebAssembly.instantiate;
WebAssembly.instantiate = async (...all) => {
  const made = await instantiate(...all);
  instances.push(made);
  return made;
};
const { open } = await import("../../viewers/web/decoder/dist/index.js");

const [path, repeats] = process.argv.slice(2);
const data = readFileSync(path);
const seconds = [];
let last;
for (let i = 0; i < 2 * Number(repeats); ++i) {
  instances.length = 0;
  const start = performance.now();
  const file = await open(data);
  let splats = 0;
  for await (const part of file.parts()) splats += part.splats.count;
  if (splats !== file.metadata.count) throw new Error(`${splats} of ${file.metadata.count} splats`);
  if (i >= Number(repeats)) seconds.push((performance.now() - start) / 1000);
  last = { file, splats };
}
const { file, splats } = last;
const memory = instances.reduce((sum, { exports }) => sum + exports.memory.buffer.byteLength, 0);
const first = file.places[0];
console.log(JSON.stringify({ seconds, memory, splats, width: 14 + 3 * file.shCount, firstBytes: first.offset + first.length }));

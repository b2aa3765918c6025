// Decodes the files named on standard input, one a line, with the web decoder; prints a line of JSON for each:
// SHA-256 of every array, in the order of the Python decoder, or the error.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

import { open } from "../../viewers/web/decoder/dist/index.js";

const WIDTHS = { means: 3, quats: 4, logScales: 3, opacityLogits: 1, sh0: 3 };

async function decode(path) {
  const file = await open(readFileSync(path));
  const widths = { ...WIDTHS, shN: 3 * file.shCount };
  const { count } = file.metadata;
  const whole = Object.fromEntries(Object.entries(widths).map(([name, width]) => [name, new Float32Array(width * count)]));
  let at = 0;
  for await (const { splats, indices } of file.parts()) {
    for (const [name, width] of Object.entries(widths)) {
      if (!indices) whole[name].set(splats[name], width * at);
      else indices.forEach((row, i) => whole[name].set(splats[name].subarray(width * i, width * (i + 1)), width * row));
    }
    at += splats.count;
  }
  if (file.truncated) throw new Error("file cut short");
  const hashes = Object.values(whole).map((array) => createHash("sha256").update(new Uint8Array(array.buffer)).digest("hex"));
  return { count: at, hashes };
}

for (const path of readFileSync(0, "utf-8").split("\n").filter(Boolean)) {
  try {
    console.log(JSON.stringify(await decode(path)));
  } catch (error) {
    console.log(JSON.stringify({ error: error.message, name: error.name }));
  }
}

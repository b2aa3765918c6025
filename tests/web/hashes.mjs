// What a decoder makes of a file, in Node and in browsers: SHA-256 of every array, in the order of the Python decoder, or
// the error.
const WIDTHS = { means: 3, quats: 4, logScales: 3, opacityLogits: 1, sh0: 3 };

const hex = (bytes) => [...new Uint8Array(bytes)].map((byte) => byte.toString(16).padStart(2, "0")).join("");

async function decode(open, source) {
  const file = await open(source);
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
  const hashes = [];
  for (const array of Object.values(whole)) hashes.push(hex(await crypto.subtle.digest("SHA-256", array)));
  return { count: at, hashes };
}

export async function hashesOf(open, source) {
  try {
    return await decode(open, source);
  } catch (error) {
    return { error: error.message, name: error.name };
  }
}

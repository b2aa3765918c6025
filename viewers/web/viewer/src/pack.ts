/** Splats in the arrangement of Spark's "extended" textures, made in a worker: docs/web_viewer.md, "Textures". */
import type { Splats } from "@scenepress/decoder";

/** Texels in a row of Spark's textures, each one splat. */
const WIDTH = 2048;
const ANGLES = 4095 / Math.PI;
const SH_C0 = 0.28209479177387814;
/** Splats of a part that are kept as floats, to place the first camera by. */
const SAMPLE = 4096;

export interface Packed {
  count: number;
  /** uint32 [4 * texels]: centre as float32, opacity as float16. */
  centers: Uint32Array;
  /** uint32 [4 * texels]: colour and ln(scale) as float16, rotation in 32 bits. */
  shapes: Uint32Array;
  /** uint32 [4 * texels] each: SH coefficients, 3 x 8 bits with signs and an exponent; as many as the degree needs. */
  harmonics: Uint32Array[];
  /** float32 [n, 5]: centre, opacity, ln of the two longer scales together; of some splats. */
  sample: Float32Array;
}

const floats = new Float32Array(1);
const bits = new Uint32Array(floats.buffer);

/** The float16 nearest to a number, held to the largest finite one. */
export function toHalf(value: number): number {
  floats[0] = value;
  const sign = (bits[0]! >>> 16) & 0x8000;
  // Half a unit of the last place kept is added first; what carries over carries over rightly.
  const word = (bits[0]! & 0x7fffffff) + 0x1000;
  const exponent = (word >>> 23) - 112;
  if (exponent >= 31) return sign | 0x7bff;
  if (exponent > 0) return sign | (exponent << 10) | ((word >>> 13) & 1023);
  return sign | Math.round(Math.abs(floats[0]!) * 2 ** 24); // Below the normal numbers all are multiples of one.
}

/** 255 over the power of two that a biased exponent stands for. */
const SCALES = Float64Array.from({ length: 32 }, (_, biased) => 255 * 2 ** (15 - biased));
const ABSOLUTE = 0x7fffffff;
/** Of 2 ** -16, up to which a triple counts as nothing, and of infinity. */
const LEAST = 0x37800000, INFINITE = 0x7f800000;

/** Three numbers from `at` on as 8 bits each, with signs, over the power of two that holds them all. words: the same
 * memory; of numbers without signs the larger one has the larger word. */
export function packTriple(values: Float32Array, words: Uint32Array, at: number): number {
  const r = words[at]!, g = words[at + 1]!, b = words[at + 2]!;
  const most = Math.max(r & ABSOLUTE, g & ABSOLUTE, b & ABSOLUTE);
  if (most <= LEAST || most > INFINITE) return 0;
  // The next power of two, unless it is one; 2 ** -15 to 2 ** 16.
  const biased = Math.min(Math.max(((most + 0x7fffff) >>> 23) - 112, 0), 31);
  const scale = SCALES[biased]!;
  return (
    (Math.min(Math.abs(values[at]!) * scale + 0.5, 255) |
      (Math.min(Math.abs(values[at + 1]!) * scale + 0.5, 255) << 8) |
      (Math.min(Math.abs(values[at + 2]!) * scale + 0.5, 255) << 16) |
      ((r >>> 31) << 24) |
      ((g >>> 31) << 25) |
      ((b >>> 31) << 26) |
      (biased << 27)) >>>
    0
  );
}

/** A rotation as the octahedron's coordinates of its axis, 10 bits each, and its angle in 12. */
export function packRotation(w: number, x: number, y: number, z: number): number {
  const length = Math.sqrt(w * w + x * x + y * y + z * z);
  if (!(length > 0)) return (512 << 10) | 512;
  const sign = (w < 0 ? -1 : 1) / length;
  const angle = 2 * Math.acos(Math.min(1, w * sign));
  const sum = Math.abs(x) + Math.abs(y) + Math.abs(z);
  let u = sum > 0 ? (x * sign * length) / sum : 1;
  let v = sum > 0 ? (y * sign * length) / sum : 0;
  if (z * sign < 0) {
    const old = u;
    u = (1 - Math.abs(v)) * (u >= 0 ? 1 : -1);
    v = (1 - Math.abs(old)) * (v >= 0 ? 1 : -1);
  }
  return (((angle * ANGLES + 0.5) << 20) | ((v * 511.5 + 512) << 10) | (u * 511.5 + 512)) >>> 0;
}

/** Packs a part. Splats with anything that is no number, or no rotation, are hidden. */
export function pack(splats: Splats): Packed {
  const { count } = splats;
  const degree = { 0: 0, 3: 1, 8: 2, 15: 3 }[splats.shN.length / (3 * Math.max(count, 1))] ?? 0;
  const texels = Math.max(1, Math.ceil(count / WIDTH)) * WIDTH;
  const texture = () => new Uint32Array(4 * texels);
  const packed = { centers: texture(), shapes: texture() };
  packForm(splats, packed.centers, packed.shapes);
  const harmonics = [0, 1, 2, 4][degree]! ? Array.from({ length: [0, 1, 2, 4][degree]! }, texture) : [];
  packHarmonics(splats.shN, count, [0, 3, 8, 15][degree]!, harmonics);
  return { count, ...packed, harmonics, sample: sampleOf(splats) };
}

function packForm({ count, means, quats, logScales, opacityLogits, sh0 }: Splats, centers: Uint32Array, shapes: Uint32Array): void {
  const asFloats = new Float32Array(centers.buffer);
  for (let i = 0; i < count; ++i) {
    const a = 4 * i, b = 3 * i;
    const opacity = 1 / (1 + Math.exp(-opacityLogits[i]!));
    const sum = logScales[b]! + logScales[b + 1]! + logScales[b + 2]! + means[b]! + means[b + 1]! + means[b + 2]!;
    const turn = quats[a]! * quats[a]! + quats[a + 1]! * quats[a + 1]! + quats[a + 2]! * quats[a + 2]! + quats[a + 3]! * quats[a + 3]!;
    if (!Number.isFinite(sum) || !(turn > 0) || !(opacity >= 0)) continue; // Opacity 0.
    asFloats[a] = means[b]!;
    asFloats[a + 1] = means[b + 1]!;
    asFloats[a + 2] = means[b + 2]!;
    centers[a + 3] = toHalf(opacity);
    const red = toHalf(0.5 + SH_C0 * sh0[b]!), green = toHalf(0.5 + SH_C0 * sh0[b + 1]!), blue = toHalf(0.5 + SH_C0 * sh0[b + 2]!);
    shapes[a] = red | (green << 16);
    shapes[a + 1] = blue | (toHalf(logScales[b]!) << 16);
    shapes[a + 2] = toHalf(logScales[b + 1]!) | (toHalf(logScales[b + 2]!) << 16);
    shapes[a + 3] = packRotation(quats[a]!, quats[a + 1]!, quats[a + 2]!, quats[a + 3]!);
  }
}

/** Spark's places of the coefficients: 3 of degree 1 and the first of degree 2, then the rest; 4 and 3 of degree 3. */
function packHarmonics(shN: Float32Array, count: number, width: number, textures: readonly Uint32Array[]): void {
  const words = new Uint32Array(shN.buffer, shN.byteOffset, shN.length);
  textures.forEach((texture, number) => {
    const first = 4 * number, used = Math.min(4, width - first);
    for (let i = 0; i < count; ++i)
      for (let k = 0; k < used; ++k) texture[4 * i + k] = packTriple(shN, words, 3 * (i * width + first + k));
  });
}

function sampleOf({ count, means, logScales, opacityLogits }: Splats): Float32Array {
  const step = Math.max(1, Math.ceil(count / SAMPLE));
  const sample = new Float32Array(5 * Math.ceil(count / step));
  for (let i = 0, at = 0; i < count; i += step, at += 5) {
    const a = logScales[3 * i]!, b = logScales[3 * i + 1]!, c = logScales[3 * i + 2]!;
    sample.set(means.subarray(3 * i, 3 * i + 3), at);
    sample[at + 3] = 1 / (1 + Math.exp(-opacityLogits[i]!));
    sample[at + 4] = a + b + c - Math.min(a, b, c);
  }
  return sample;
}

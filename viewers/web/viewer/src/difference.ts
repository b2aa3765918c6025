/** How far two pictures are apart: scenepress/quality.py's PSNR and SSIM, on 8-bit pixels. */

export interface Difference {
  /** dB; infinite for equal pictures. */
  psnr: number;
  /** Mean over channels and windows; NaN for pictures smaller than a window. */
  ssim: number;
  /** uint8 [height, width, 4], rows from the top down: the error of every pixel in colours of HEAT. */
  heat: Uint8ClampedArray<ArrayBuffer>;
}

/** Window of SSIM: 11 taps of a Gaussian. */
const RADIUS = 5;
const SIGMA = 1.5;
const C1 = 0.01 ** 2;
const C2 = 0.03 ** 2;
/** Error of a pixel (largest of its channels) that is shown in the hottest colour. */
export const HOTTEST = 0.2;
/** From no error to HOTTEST: black, violet, red, orange, pale yellow. */
const HEAT: readonly (readonly [number, number, number])[] = [
  [0, 0, 4],
  [87, 16, 110],
  [188, 55, 84],
  [249, 142, 9],
  [252, 255, 164],
];

/** a, b: uint8 [height, width, 4], rows from the bottom up. */
export function difference(a: Uint8Array, b: Uint8Array, width: number, height: number): Difference {
  const heat = new Uint8ClampedArray(4 * width * height);
  let squares = 0;
  for (let y = 0; y < height; ++y) {
    for (let x = 0; x < width; ++x) {
      const at = 4 * (y * width + x);
      let most = 0;
      for (let c = 0; c < 3; ++c) {
        const apart = Math.abs(a[at + c]! - b[at + c]!);
        squares += apart * apart;
        if (apart > most) most = apart;
      }
      paint(heat, 4 * ((height - 1 - y) * width + x), most / 255 / HOTTEST);
    }
  }
  const mean = squares / (3 * width * height * 255 * 255);
  return { psnr: mean > 0 ? -10 * Math.log10(mean) : Infinity, ssim: ssim(a, b, width, height), heat };
}

function paint(heat: Uint8ClampedArray, at: number, error: number): void {
  const place = Math.min(Math.max(error, 0), 1) * (HEAT.length - 1);
  const low = Math.min(Math.floor(place), HEAT.length - 2);
  const from = HEAT[low]!, to = HEAT[low + 1]!;
  for (let c = 0; c < 3; ++c) heat[at + c] = from[c]! + (place - low) * (to[c]! - from[c]!);
  heat[at + 3] = 255;
}

function ssim(a: Uint8Array, b: Uint8Array, width: number, height: number): number {
  if (Math.min(width, height) <= 2 * RADIUS) return NaN;
  const size = width * height;
  const x = new Float64Array(size), y = new Float64Array(size), products = new Float64Array(size), squares = new Float64Array(size);
  let sum = 0;
  let windows = 0;
  for (let c = 0; c < 3; ++c) {
    for (let i = 0; i < size; ++i) {
      const p = a[4 * i + c]! / 255, q = b[4 * i + c]! / 255;
      x[i] = p;
      y[i] = q;
      products[i] = p * q;
      squares[i] = p * p + q * q;
    }
    const [mx, my, mp, ms] = [x, y, products, squares].map((plane) => windowMeans(plane, width, height));
    for (let i = 0; i < mx!.length; ++i) {
      const cross = mx![i]! * my![i]!;
      const both = mx![i]! ** 2 + my![i]! ** 2;
      sum += ((2 * cross + C1) * (2 * (mp![i]! - cross) + C2)) / ((both + C1) * (ms![i]! - both + C2));
    }
    windows += mx!.length;
  }
  return sum / windows;
}

/** Gaussian means around every pixel whose window fits. */
function windowMeans(plane: Float64Array, width: number, height: number): Float64Array {
  const taps = Array.from({ length: 2 * RADIUS + 1 }, (_, i) => Math.exp(-0.5 * ((i - RADIUS) / SIGMA) ** 2));
  const total = taps.reduce((sum, tap) => sum + tap, 0);
  const w = width - 2 * RADIUS, h = height - 2 * RADIUS;
  const rows = new Float64Array(w * height);
  for (let y = 0; y < height; ++y) {
    for (let x = 0; x < w; ++x) {
      let sum = 0;
      for (let k = 0; k <= 2 * RADIUS; ++k) sum += taps[k]! * plane[y * width + x + k]!;
      rows[y * w + x] = sum / total;
    }
  }
  const means = new Float64Array(w * h);
  for (let y = 0; y < h; ++y) {
    for (let x = 0; x < w; ++x) {
      let sum = 0;
      for (let k = 0; k <= 2 * RADIUS; ++k) sum += taps[k]! * rows[(y + k) * w + x]!;
      means[y * w + x] = sum / total;
    }
  }
  return means;
}

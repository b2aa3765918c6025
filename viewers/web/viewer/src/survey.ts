/** Where to look at a scene from that came without cameras: scenepress/cameras.py's survey(), on a sample. */

export interface Surroundings {
  center: [number, number, number];
  /** How far from the centre a camera should be. */
  distance: number;
  /** The scene lies around its centre, as a room does: look outwards from there. */
  inside: boolean;
}

/** The first camera looks from a little to the side of straight ahead, and from a little above. */
export const FIELD_OF_VIEW = 50;
const HALF_VIEW = Math.sin((FIELD_OF_VIEW * Math.PI) / 360);

/** sample: [n, 5] as pack.ts makes it. */
export function survey(sample: Float32Array): Surroundings {
  const count = Math.floor(sample.length / 5);
  const rows: number[] = [];
  for (let i = 0; i < count; ++i) if (sample.subarray(5 * i, 5 * i + 5).every(Number.isFinite)) rows.push(i);
  if (!rows.length) return { center: [0, 0, 0], distance: 1, inside: false };
  const areas = rows.map((i) => sample[5 * i + 4]!);
  const usual = quantile(areas, areas.map(() => 1), 0.5);
  // Every splat counts by opacity times area, held to the median: a background's few huge ones must not decide.
  const weights = rows.map((i, k) => sample[5 * i + 3]! * Math.exp(Math.min(areas[k]! - usual, 0)) + 1e-12);
  const axis = (a: number) => rows.map((i) => sample[5 * i + a]!);
  const points = [axis(0), axis(1), axis(2)];
  let center = points.map((values) => quantile(values, weights, 0.5)) as [number, number, number];
  let near = distances(points, center);
  const solid = rows.map((i, k) => sample[5 * i + 3]! * Math.min((Math.PI * Math.exp(areas[k]!)) / Math.max(near[k]! ** 2, 1e-18), 2 * Math.PI) + 1e-12);
  const clearance = quantile(near, solid, 0.02);
  const middle = quantile(near, weights, 0.5);
  if (clearance > 0.3 * middle && covered(points, center, solid) > 0.8) return { center, distance: middle, inside: true };
  // From the median towards the densest part: the mean of the nearest quarter, again and again.
  for (let round = 0; round < 20; ++round) {
    const reach = quantile(near, weights, 0.25);
    let total = 0;
    const sum = [0, 0, 0];
    near.forEach((d, k) => {
      if (d > reach) return;
      total += weights[k]!;
      for (let a = 0; a < 3; ++a) sum[a]! += weights[k]! * points[a]![k]!;
    });
    center = sum.map((s) => s / total) as [number, number, number];
    near = distances(points, center);
  }
  const least = Math.max(1e-6, 1e-6 * Math.max(...center.map(Math.abs)), Math.exp(0.5 * usual));
  const core = Math.max(quantile(near, weights, 0.25), least);
  const whole = Math.max(quantile(near, weights, 0.95), least);
  return { center, distance: (whole < 3 * core ? whole : core) / HALF_VIEW, inside: false };
}

function distances(points: number[][], [x, y, z]: [number, number, number]): number[] {
  return points[0]!.map((_, k) => Math.hypot(points[0]![k]! - x, points[1]![k]! - y, points[2]![k]! - z));
}

/** Share of 6 x 6 directions on each face of a cube in which splats of these solid angles could hide what is behind. */
function covered(points: number[][], center: readonly number[], solid: readonly number[]): number {
  const size = 6;
  const bins = new Float64Array(6 * size * size);
  solid.forEach((angle, k) => {
    const d = [0, 1, 2].map((a) => points[a]![k]! - center[a]!);
    const largest = [0, 1, 2].reduce((best, a) => (Math.abs(d[a]!) > Math.abs(d[best]!) ? a : best), 0);
    const depth = Math.max(Math.abs(d[largest]!), 1e-12);
    const cell = (a: number) => Math.min(size - 1, Math.floor(((d[(largest + a) % 3]! / depth + 1) * size) / 2));
    bins[((2 * largest + (d[largest]! < 0 ? 1 : 0)) * size + cell(1)) * size + cell(2)]! += angle;
  });
  const enough = (0.5 * 4 * Math.PI) / bins.length;
  return bins.filter((bin) => bin > enough).length / bins.length;
}

/** The value below which a share of the weight lies. */
function quantile(values: readonly number[], weights: readonly number[], share: number): number {
  const order = [...values.keys()].sort((a, b) => values[a]! - values[b]!);
  let left = share * weights.reduce((sum, w) => sum + w, 0);
  for (const k of order) {
    left -= weights[k]!;
    if (left <= 0) return values[k]!;
  }
  return values[order[order.length - 1]!]!;
}

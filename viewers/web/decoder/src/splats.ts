/** One level of one tile. */
export interface Place {
  level: number;
  tile: number;
  /** Splats. */
  count: number;
  /** Where its bytes lie in the file. */
  offset: number;
  length: number;
}

/** Decoded splats, in the terms of INRIA's .ply files: logits, logarithms, quaternions as w, x, y, z. */
export interface Splats {
  count: number;
  /** [count, 3] in scene units. */
  means: Float32Array;
  /** [count, 4], of length 1 unless the file is lossless. */
  quats: Float32Array;
  /** [count, 3] */
  logScales: Float32Array;
  /** [count] */
  opacityLogits: Float32Array;
  /** [count, 3] */
  sh0: Float32Array;
  /** [count, shCount, 3] */
  shN: Float32Array;
}

/** What arrives at a time: splats, or what a pool's workers make of them. */
export interface Part<T = Splats> {
  place: Place;
  splats: T;
  /** The places of the splats in the source, if the file keeps its order. */
  indices: Int32Array | undefined;
  /** Milliseconds that decoding took. */
  milliseconds: number;
}

/** Floats of a splat. */
export function widthOf(shCount: number): number {
  return 14 + 3 * shCount;
}

/** The arrays that lie one after another in `values`. */
export function splatsOf(values: Float32Array, count: number, shCount: number): Splats {
  let at = 0;
  const take = (width: number) => values.subarray(at, (at += width * count));
  return {
    count,
    means: take(3),
    quats: take(4),
    logScales: take(3),
    opacityLogits: take(1),
    sh0: take(3),
    shN: take(3 * shCount),
  };
}

import type { Metadata } from "./metadata.js";
import type { Instance } from "./module.js";
import type { Place } from "./splats.js";

/** A cube of the scene, in scene units. */
export interface Tile {
  corner: [number, number, number];
  size: number;
}

/** One chunk of the file, for statistics. */
export interface Chunk {
  stage: number;
  level: number;
  tile: number;
  count: number;
  offset: number;
  length: number;
}

/** What is known of a file once its front has been read. */
export interface Contents {
  metadata: Metadata;
  /** Bytes of the whole file. */
  fileLength: number;
  tiles: readonly Tile[];
  /** In the order of the file. */
  places: readonly Place[];
  chunks: readonly Chunk[];
  /** SH coefficients a channel, beyond the constant one: 0, 3, 8 or 15. */
  shCount: number;
  keepsOrder: boolean;
}

/** What an instance that has begun knows. */
export function contentsOf(instance: Instance, metadata: Metadata, fileLength: number): Contents {
  const [shCount = 0, kept = 0, ...boxes] = instance.scene();
  const tiles = rowsOf(boxes, 4).map(([x, y, z, size]) => ({ corner: [x, y, z], size }) as Tile);
  const places = rowsOf(instance.places(), 5).map(
    ([level, tile, count, offset, length]) => ({ level, tile, count, offset, length }) as Place,
  );
  const chunks = rowsOf(instance.chunks(), 6).map(
    ([stage, level, tile, count, offset, length]) => ({ stage, level, tile, count, offset, length }) as Chunk,
  );
  return { metadata, fileLength, tiles, places, chunks, shCount, keepsOrder: kept !== 0 };
}

function rowsOf(values: ArrayLike<number>, width: number): number[][] {
  const all = Array.from(values);
  return Array.from({ length: all.length / width }, (_, i) => all.slice(width * i, width * (i + 1)));
}

/**
 * Decodes `.press` files of Gaussian splats: streamed by ranges, coarse to fine, bit-exact.
 *
 *     const file = await open("scene.press");
 *     for await (const part of file.parts()) show(part);
 */
import { PressError } from "./errors.js";
import { type Metadata, parseMetadata } from "./metadata.js";
import { Instance, moduleOf } from "./module.js";
import { type RangeReader, readerOf, type Source } from "./source.js";

export { PressError } from "./errors.js";
export type { Metadata, Quality } from "./metadata.js";
export type { RangeReader, Source } from "./source.js";

/** Enough for header and index of most files. */
const FIRST_READ = 1 << 16;
const HEADER_LENGTH = 32;
/** Places that follow each other are fetched together up to so many bytes. */
const READ_AT_ONCE = 1 << 20;

export interface OpenOptions {
  signal?: AbortSignal;
  /** The module or its bytes, where `press.wasm` does not lie beside this script. */
  wasm?: WebAssembly.Module | BufferSource;
}

/** A cube of the scene, in scene units. */
export interface Tile {
  corner: [number, number, number];
  size: number;
}

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

/** One chunk of the file, for statistics. */
export interface Chunk {
  stage: number;
  level: number;
  tile: number;
  count: number;
  offset: number;
  length: number;
}

/** Decoded splats, in the terms of INRIA's .ply files: logits, logarithms, quaternions as w, x, y, z. */
export interface Splats {
  count: number;
  /** [count, 3] in scene units. */
  means: Float32Array;
  /** [count, 4], of length 1. */
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

/** What arrives at a time. */
export interface Part {
  place: Place;
  splats: Splats;
  /** The places of the splats in the source, if the file keeps its order. */
  indices: Int32Array | undefined;
}

export interface PartsOptions {
  signal?: AbortSignal;
  /** How many levels; all if not given. */
  levels?: number;
  /** Asked before each level: its nearest tiles come first. */
  near?: () => readonly [number, number, number] | undefined;
}

/** A file whose front has been read and checked. */
export class PressFile {
  private taken = false;

  /** @internal */
  constructor(
    private readonly reader: RangeReader,
    private readonly instance: Instance,
    readonly metadata: Metadata,
    /** Bytes of the whole file. */
    readonly fileLength: number,
    readonly tiles: readonly Tile[],
    /** In the order of the file. */
    readonly places: readonly Place[],
    readonly chunks: readonly Chunk[],
    /** SH coefficients a channel, beyond the constant one: 0, 3, 8 or 15. */
    readonly shCount: number,
    readonly keepsOrder: boolean,
  ) {}

  /** Levels of detail that the file has. */
  get levels(): number {
    return this.places.reduce((most, place) => Math.max(most, place.level + 1), 0);
  }

  /** Whether the source is known to have fewer bytes than the file says. */
  get truncated(): boolean {
    return this.reader.size !== undefined && this.reader.size < this.fileLength;
  }

  /**
   * Every level of every tile, coarse to fine; once. Of a file that was cut short, the levels that are whole.
   * What came before an error stays good.
   */
  async *parts(options: PartsOptions = {}): AsyncGenerator<Part, void, void> {
    if (this.taken) throw new Error("parts() can be asked for once: open the file again");
    this.taken = true;
    const { signal } = options;
    const wanted = Math.min(options.levels ?? Infinity, this.wholeLevels());
    const queue: Run[] = [];
    for (let level = 0; level < wanted; ++level) {
      for (const run of runsOf(this.inOrder(level, options.near?.()), this.places)) {
        const bytes = this.fetch(run, signal);
        bytes.catch(() => undefined); // It is told when its turn comes, if it comes.
        queue.push({ run, bytes });
        if (queue.length > 1) yield* this.decodeRun(queue.shift()!, signal);
      }
    }
    for (const run of queue) yield* this.decodeRun(run, signal);
  }

  private async *decodeRun({ run, bytes }: Run, signal?: AbortSignal): AsyncGenerator<Part, void, void> {
    const data = await bytes;
    const start = this.places[run[0]!]!.offset;
    for (const number of run) {
      signal?.throwIfAborted();
      const place = this.places[number]!;
      const own = data.subarray(place.offset - start, place.offset - start + place.length);
      yield this.decode(number, place, own);
    }
  }

  private decode(number: number, place: Place, bytes: Uint8Array): Part {
    const { count } = place;
    const { values, indices } = this.instance.decode(number, bytes, count * (14 + 3 * this.shCount), count);
    let at = 0;
    const take = (width: number) => values.subarray(at, (at += width * count));
    const splats: Splats = {
      count,
      means: take(3),
      quats: take(4),
      logScales: take(3),
      opacityLogits: take(1),
      sh0: take(3),
      shN: take(3 * this.shCount),
    };
    return { place, splats, indices: this.keepsOrder ? indices : undefined };
  }

  private async fetch(run: readonly number[], signal?: AbortSignal): Promise<Uint8Array> {
    const start = this.places[run[0]!]!.offset;
    const last = this.places[run[run.length - 1]!]!;
    return readExactly(this.reader, start, last.offset + last.length - start, signal);
  }

  private wholeLevels(): number {
    const { size } = this.reader;
    if (size === undefined) return this.levels;
    const cut = this.places.find((place) => place.offset + place.length > size);
    return cut ? cut.level : this.levels;
  }

  /** The level's places, by distance from a point if there is one. */
  private inOrder(level: number, near: readonly [number, number, number] | undefined): number[] {
    const numbers = [...this.places.keys()].filter((number) => this.places[number]!.level === level);
    if (!near) return numbers;
    const far = (number: number) => distanceOf(this.tiles[this.places[number]!.tile]!, near);
    return numbers.sort((a, b) => far(a) - far(b));
  }
}

interface Run {
  run: readonly number[];
  bytes: Promise<Uint8Array>;
}

/** Opens a file: reads and checks its header, index, and what holds for the whole scene. */
export async function open(source: Source, options: OpenOptions = {}): Promise<PressFile> {
  const { signal } = options;
  const reader = readerOf(source);
  const [module, first] = await Promise.all([moduleOf(options.wasm), reader.read(0, FIRST_READ, signal)]);
  const instance = await Instance.of(module);
  const length = instance.frontLength(first.subarray(0, HEADER_LENGTH));
  let front = first;
  if (length > first.length) {
    const rest = await reader.read(first.length, length - first.length, signal);
    front = joined(first, rest);
  }
  instance.open(front.subarray(0, length));
  const { fileLength, wholeOffset, wholeLength, places } = instance.layout();
  if (reader.size !== undefined && reader.size > fileLength) {
    throw new PressError(`${reader.size - fileLength} bytes follow the end of the file at byte ${fileLength}`);
  }
  const whole =
    wholeOffset + wholeLength <= front.length
      ? front.subarray(wholeOffset, wholeOffset + wholeLength)
      : await readExactly(reader, wholeOffset, wholeLength, signal);
  const metadata = parseMetadata(instance.metadata(whole));
  if (metadata.codec !== "splats") {
    throw new PressError(`this decoder is for the codec 'splats', not '${metadata.codec}'`);
  }
  instance.begin(whole, metadata.count, metadata.shDegree);
  return fileOf(reader, instance, metadata, fileLength, places);
}

function fileOf(
  reader: RangeReader,
  instance: Instance,
  metadata: Metadata,
  fileLength: number,
  places: number,
): PressFile {
  const [shCount = 0, kept = 0, ...boxes] = instance.scene();
  const tiles = rowsOf(boxes, 4).map(([x, y, z, size]) => ({ corner: [x, y, z], size }) as Tile);
  const lines = rowsOf(instance.places(places), 5).map(
    ([level, tile, count, offset, length]) => ({ level, tile, count, offset, length }) as Place,
  );
  const chunks = rowsOf(instance.chunks(), 6).map(
    ([stage, level, tile, count, offset, length]) => ({ stage, level, tile, count, offset, length }) as Chunk,
  );
  return new PressFile(reader, instance, metadata, fileLength, tiles, lines, chunks, shCount, kept !== 0);
}

function rowsOf(values: ArrayLike<number>, width: number): number[][] {
  const all = Array.from(values);
  return Array.from({ length: all.length / width }, (_, i) => all.slice(width * i, width * (i + 1)));
}

/** The same numbers in runs: places that follow each other in the file, together at most READ_AT_ONCE bytes. */
function runsOf(numbers: readonly number[], places: readonly Place[]): number[][] {
  const runs: number[][] = [];
  let end = -1;
  let room = 0;
  for (const number of numbers) {
    const { offset, length } = places[number]!;
    if (offset === end && length <= room) runs[runs.length - 1]!.push(number);
    else {
      runs.push([number]);
      room = READ_AT_ONCE;
    }
    end = offset + length;
    room -= length;
  }
  return runs;
}

function distanceOf(tile: Tile, point: readonly [number, number, number]): number {
  let sum = 0;
  for (let axis = 0; axis < 3; ++axis) {
    const low = tile.corner[axis]!;
    const away = Math.max(low - point[axis]!, 0, point[axis]! - low - tile.size);
    sum += away * away;
  }
  return sum;
}

async function readExactly(
  reader: RangeReader,
  offset: number,
  length: number,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  const bytes = await reader.read(offset, length, signal);
  if (bytes.length !== length) {
    throw new PressError(`file cut short: ${bytes.length} of ${length} bytes at byte ${offset}`);
  }
  return bytes;
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}

/**
 * Decodes `.press` files of Gaussian splats: streamed by ranges, coarse to fine, bit-exact.
 *
 *     const file = await open("scene.press");
 *     for await (const part of file.parts()) show(part);
 */
import { type Backend, Here } from "./backend.js";
import type { Chunk, Contents, Tile } from "./contents.js";
import { PressError } from "./errors.js";
import type { Metadata } from "./metadata.js";
import { moduleOf } from "./module.js";
import type { Pool } from "./pool.js";
import { Queue } from "./queue.js";
import { readExactly, type RangeReader, readerOf, type Source, withStart } from "./source.js";
import type { Part, Place, Splats } from "./splats.js";

export type { Chunk, Tile } from "./contents.js";
export { PressError } from "./errors.js";
export type { Metadata, Quality } from "./metadata.js";
export { Pool } from "./pool.js";
export { type RangeReader, readerOf, type Source, withStart } from "./source.js";
export type { Part, Place, Splats } from "./splats.js";

/** Bytes that open() reads first: enough for what comes before the splats of most files. */
export const FIRST_READ = 1 << 13;
const HEADER_LENGTH = 32;
/** Places that follow each other are fetched together, up to so many bytes: few at first, as something is to be
 * seen soon, then more. */
const READ_AT_ONCE = 1 << 15;
const READ_AT_MOST = 1 << 20;
/** Runs of places that are asked for before the ones before them are decoded. */
const RUNS_AHEAD = 2;

export interface OpenOptions<T = Splats> {
  signal?: AbortSignal;
  /** The module or its bytes, where `press.wasm` does not lie beside this script. */
  wasm?: WebAssembly.Module | BufferSource;
  /** Workers to decode in; without them it is done where parts() is asked. */
  pool?: Pool<T>;
}

export interface PartsOptions {
  signal?: AbortSignal;
  /** How many levels; all if not given. */
  levels?: number;
  /** Asked before each level: its nearest tiles come first. */
  near?: () => readonly [number, number, number] | undefined;
}

/** A file whose front has been read and checked. */
export class PressFile<T = Splats> implements Contents {
  readonly metadata: Metadata;
  readonly fileLength: number;
  readonly tiles: readonly Tile[];
  readonly places: readonly Place[];
  readonly chunks: readonly Chunk[];
  readonly shCount: number;
  readonly keepsOrder: boolean;
  private taken = false;
  private readonly ended = new AbortController();

  /** @internal */
  constructor(
    private readonly reader: RangeReader,
    private readonly backend: Backend<T>,
    contents: Contents,
  ) {
    ({
      metadata: this.metadata,
      fileLength: this.fileLength,
      tiles: this.tiles,
      places: this.places,
      chunks: this.chunks,
      shCount: this.shCount,
      keepsOrder: this.keepsOrder,
    } = contents);
  }

  /** Levels of detail that the file has. */
  get levels(): number {
    return this.places.reduce((most, place) => Math.max(most, place.level + 1), 0);
  }

  /** Whether the source is known to have fewer bytes than the file says. */
  get truncated(): boolean {
    return this.reader.size !== undefined && this.reader.size < this.fileLength;
  }

  /** Lets go of what decodes it. parts() does so at its end; whoever does not ask for parts calls this. */
  close(): void {
    this.ended.abort(new Error("the file has been closed"));
    this.backend.close();
  }

  /**
   * Every level of every tile, coarse to fine; once. Of a file that was cut short, the levels that are whole.
   * What came before an error stays good.
   */
  async *parts(options: PartsOptions = {}): AsyncGenerator<Part<T>, void, void> {
    if (this.taken) throw new Error("parts() can be asked for once: open the file again");
    this.taken = true;
    if (this.truncated && this.metadata.codec === "lossless") {
      this.close();
      throw new PressError("file cut short, and a lossless file decodes from the whole only");
    }
    if (options.levels !== undefined && !(options.levels >= 0)) throw new Error(`levels: ${options.levels}`);
    const ready = new Queue<Promise<Part<T>>>(this.backend.ahead);
    const { signal } = options;
    const abort = () => this.ended.abort(signal!.reason);
    if (signal?.aborted) abort();
    else signal?.addEventListener("abort", abort, { once: true });
    this.decodeAll(ready, { ...options, signal: this.ended.signal }).then(
      () => ready.end(),
      (error: unknown) => ready.fail(error),
    );
    try {
      for (let part = await ready.take(); part; part = await ready.take()) {
        const found = await part;
        signal?.throwIfAborted();
        yield found;
      }
    } finally {
      signal?.removeEventListener("abort", abort);
      ready.end();
      this.close(); // What is still being fetched is not wanted any more.
    }
  }

  /** Starts to decode what arrives, as long as there is room. */
  private async decodeAll(ready: Queue<Promise<Part<T>>>, { signal, levels, near }: PartsOptions): Promise<void> {
    const runs: Run[] = [];
    let ahead = 0; // The first run has the line for itself: it makes the first picture.
    // One request at a time: browsers' caches ask again for what they are asked for at once.
    let line: Promise<unknown> = Promise.resolve();
    for (const numbers of this.runs(Math.min(levels ?? Infinity, this.wholeLevels()), near)) {
      const bytes = line.then(() => this.fetch(numbers, signal));
      line = bytes;
      bytes.catch(() => undefined); // It is told when its turn comes, if it comes.
      runs.push({ numbers, bytes });
      if (runs.length <= ahead) continue;
      if (!(await this.decodeRun(runs.shift()!, ready, signal))) return;
      ahead = RUNS_AHEAD;
    }
    for (const run of runs) if (!(await this.decodeRun(run, ready, signal))) return;
  }

  private async decodeRun({ numbers, bytes }: Run, ready: Queue<Promise<Part<T>>>, signal?: AbortSignal): Promise<boolean> {
    const data = await bytes;
    const start = this.places[numbers[0]!]!.offset;
    for (const number of numbers) {
      signal?.throwIfAborted();
      const place = this.places[number]!;
      const own = data.subarray(place.offset - start, place.offset - start + place.length);
      const part = this.backend.decode(number, place, own);
      part.catch(() => undefined);
      if (!(await ready.put(part))) return false;
    }
    return true;
  }

  /** Places in the order in which they are wanted, those together that are fetched together. */
  private *runs(levels: number, near: PartsOptions["near"]): Generator<number[]> {
    let most = READ_AT_ONCE;
    for (let level = 0; level < levels; ++level) {
      let run: number[] = [];
      let end = -1;
      let room = 0;
      for (const number of this.inOrder(level, near?.())) {
        const { offset, length } = this.places[number]!;
        if (offset !== end || length > room) {
          if (run.length) yield run;
          run = [];
          room = most;
          most = Math.min(2 * most, READ_AT_MOST);
        }
        run.push(number);
        end = offset + length;
        room -= length;
      }
      if (run.length) yield run;
    }
  }

  private async fetch(numbers: readonly number[], signal?: AbortSignal): Promise<Uint8Array> {
    signal?.throwIfAborted();
    const start = this.places[numbers[0]!]!.offset;
    const last = this.places[numbers[numbers.length - 1]!]!;
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
    if (!near || !this.tiles.length) return numbers;
    const far = (number: number) => distanceOf(this.tiles[this.places[number]!.tile]!, near);
    return numbers.sort((a, b) => far(a) - far(b));
  }
}

interface Run {
  numbers: readonly number[];
  bytes: Promise<Uint8Array>;
}

/** Opens a file: reads and checks its header, index, and what holds for the whole scene. */
export async function open<T = Splats>(source: Source, options: OpenOptions<T> = {}): Promise<PressFile<T>> {
  const { signal, pool } = options;
  let reader = readerOf(source);
  const [module, first] = await Promise.all([moduleOf(options.wasm), reader.read(0, FIRST_READ, signal)]);
  // Without a pool T is Splats, which the compiler cannot know.
  const backend = pool ? pool.file(module) : ((await Here.of(module)) as unknown as Backend<T>);
  try {
    reader = withStart(reader, first);
    const front = await reader.read(0, await backend.frontLength(first.subarray(0, HEADER_LENGTH)), signal);
    const { fileLength, wholeOffset, wholeLength } = await backend.open(front);
    if (reader.size !== undefined && reader.size > fileLength) {
      throw new PressError(`${reader.size - fileLength} bytes follow the end of the file at byte ${fileLength}`);
    }
    const contents = await backend.begin(await readExactly(reader, wholeOffset, wholeLength, signal));
    return new PressFile(reader, backend, contents);
  } catch (error) {
    backend.close();
    throw error;
  }
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

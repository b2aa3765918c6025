/** Scenes being loaded: .press files in levels, by the decoder; other formats whole, by Spark. */
import {
  type Chunk,
  FIRST_READ,
  type Metadata,
  open,
  type Part,
  Pool,
  type RangeReader,
  readerOf,
  withStart,
} from "@scenepress/decoder";
import { ExtSplats, SplatMesh } from "@sparkjsdev/spark";

import type { Packed } from "./pack.js";

/** The first bytes of every .press file. */
const MAGIC = [0x8a, 0x70, 0x72, 0x65, 0x73, 0x73, 0x0d, 0x0a];
/** What Spark reads too. */
const OTHERS = /\.(ply|spz|splat|ksplat|sog|zip)$/i;

export interface Piece {
  level: number;
  count: number;
  /** On the GPU, or about to be; shared by all that show it. */
  splats: ExtSplats;
}

export type State = "loading" | "whole" | "cut short" | "failed";

/** A scene, as far as it has been loaded. */
export interface Asset {
  readonly name: string;
  readonly pieces: Piece[];
  state: State;
  /** Why it failed, or what is amiss. */
  message: string;
  metadata: Metadata | undefined;
  chunks: readonly Chunk[];
  /** Levels of detail; 1 until more is known. */
  levels: number;
  /** Bytes of the file, if known. */
  fileBytes: number | undefined;
  fetchedBytes: number;
  /** Splats of the file, if known. */
  count: number | undefined;
  /** Splats loaded. */
  loaded: number;
  /** Milliseconds of decoding, over all workers. */
  decodeMilliseconds: number;
  /** Of the first pieces, to place a camera by. */
  sample: Float32Array;
}

export interface Loading {
  signal: AbortSignal;
  /** Where the camera is, in the axes of the scene. */
  near(asset: Asset): readonly [number, number, number] | undefined;
  /** Something about the asset is new. */
  changed(asset: Asset): void;
}

let pool: Pool<Packed> | undefined;

function decoders(): Pool<Packed> {
  pool ??= new Pool<Packed>(() => new Worker(new URL("./decode.worker.ts", import.meta.url), { type: "module" }));
  return pool;
}

/** An asset of which nothing is there yet. */
export function emptyAsset(name: string): Asset {
  return {
    name,
    pieces: [],
    state: "loading",
    message: "",
    metadata: undefined,
    chunks: [],
    levels: 1,
    fileBytes: undefined,
    fetchedBytes: 0,
    count: undefined,
    loaded: 0,
    decodeMilliseconds: 0,
    sample: new Float32Array(0),
  };
}

/** Loads a scene into `asset`; never throws: what goes wrong is told in it, and what came before stays. */
export async function load(asset: Asset, source: string | File, loading: Loading): Promise<void> {
  try {
    const reader = counted(readerOf(source), asset);
    const start = await reader.read(0, FIRST_READ, loading.signal);
    if (isPress(start)) await loadPress(asset, withStart(reader, start), loading);
    else await loadOther(asset, source, reader, loading.signal);
  } catch (error) {
    if (loading.signal.aborted) return;
    asset.state = "failed";
    asset.message = (error as Error).message;
  }
  loading.changed(asset);
}

async function loadPress(asset: Asset, reader: RangeReader, { signal, near, changed }: Loading): Promise<void> {
  const file = await open(reader, { signal, pool: decoders() });
  asset.metadata = file.metadata;
  asset.chunks = file.chunks;
  asset.levels = Math.max(1, file.levels);
  asset.fileBytes = file.fileLength;
  asset.count = file.metadata.count;
  changed(asset);
  for await (const part of file.parts({ signal, near: () => near(asset) })) {
    add(asset, part);
    changed(asset);
  }
  asset.state = file.truncated ? "cut short" : "whole";
  if (file.truncated) {
    const of = `${asset.loaded.toLocaleString("en")} of ${file.metadata.count.toLocaleString("en")} splats`;
    asset.message = `The file is cut short: ${of} are in it.`;
  }
}

function add(asset: Asset, { place, splats, milliseconds }: Part<Packed>): void {
  const [sh1, sh2, sh3a, sh3b] = splats.harmonics;
  const extra = { ...(sh1 && { sh1 }), ...(sh2 && { sh2 }), ...(sh3a && { sh3a }), ...(sh3b && { sh3b }) };
  const held = new ExtSplats({ extArrays: [splats.centers, splats.shapes], numSplats: splats.count, extra });
  asset.pieces.push({ level: place.level, count: splats.count, splats: held });
  asset.loaded += splats.count;
  asset.decodeMilliseconds += milliseconds;
  if (place.level === 0) {
    const both = new Float32Array(asset.sample.length + splats.sample.length);
    both.set(asset.sample);
    both.set(splats.sample, asset.sample.length);
    asset.sample = both;
  }
}

async function loadOther(asset: Asset, source: string | File, reader: RangeReader, signal: AbortSignal): Promise<void> {
  const name = typeof source === "string" ? new URL(source, location.href).pathname : source.name;
  if (!OTHERS.test(name)) throw new Error(`${asset.name} is neither a .press file nor .ply, .spz, .splat, .ksplat or .sog`);
  const start = performance.now();
  const bytes =
    reader.size === undefined
      ? new Uint8Array(await (await fetch(source as string, { signal })).arrayBuffer())
      : await reader.read(0, reader.size, signal);
  asset.fetchedBytes = asset.fileBytes = bytes.length;
  const mesh = new SplatMesh({ fileBytes: bytes, fileName: name, extSplats: true });
  await mesh.initialized;
  const splats = mesh.extSplats;
  if (!splats?.numSplats) throw new Error(`${asset.name} holds no splats`);
  asset.pieces.push({ level: 0, count: splats.numSplats, splats });
  asset.count = asset.loaded = splats.numSplats;
  asset.decodeMilliseconds = performance.now() - start;
  asset.sample = sampleOf(splats);
  asset.state = "whole";
}

function sampleOf(splats: ExtSplats): Float32Array {
  const step = Math.ceil(splats.numSplats / 8192);
  const rows: number[] = [];
  for (let i = 0; i < splats.numSplats; i += step) {
    const { center, scales, opacity } = splats.getSplat(i);
    const logs = [scales.x, scales.y, scales.z].map((s) => Math.log(Math.max(s, 1e-30))).sort((a, b) => a - b);
    rows.push(center.x, center.y, center.z, opacity, logs[1]! + logs[2]!);
  }
  return Float32Array.from(rows);
}

function isPress(start: Uint8Array): boolean {
  return MAGIC.every((byte, i) => start[i] === byte);
}

/** The same source, which counts what was read. */
function counted(reader: RangeReader, asset: Asset): RangeReader {
  return {
    get size() {
      return reader.size;
    },
    async read(offset, length, signal) {
      const bytes = await reader.read(offset, length, signal);
      asset.fetchedBytes += bytes.length;
      return bytes;
    },
  };
}

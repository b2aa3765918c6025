import { PressError } from "./errors.js";
import type { Metadata } from "./metadata.js";

/** What the module exports: see cuda/wasm/exports.cpp. */
interface Exports {
  memory: WebAssembly.Memory;
  _initialize(): void;
  sp_refusal(): number;
  sp_take(size: number): number;
  sp_give_back(address: number): void;
  sp_front_length(data: number, size: number): number;
  sp_open(front: number, size: number): void;
  sp_layout(): number;
  sp_places(): number;
  sp_chunks(): number;
  sp_place_count(): number;
  sp_chunk_count(): number;
  sp_metadata(whole: number, size: number): number;
  sp_begin(whole: number, size: number, count: number, degree: number, lossless: boolean): void;
  sp_scene(): number;
  sp_tile_count(): number;
  sp_room(): number;
  sp_decode(place: number, data: number, size: number, out: number): void;
}

let compiled: Promise<WebAssembly.Module> | undefined;

/** The compiled module; by default of the `press.wasm` that lies beside this script. */
export function moduleOf(given?: WebAssembly.Module | BufferSource): Promise<WebAssembly.Module> {
  if (given instanceof WebAssembly.Module) return Promise.resolve(given);
  if (given) return WebAssembly.compile(given);
  compiled ??= compileBeside().catch((error: unknown) => {
    compiled = undefined; // So that it can be tried again.
    throw error;
  });
  return compiled;
}

async function compileBeside(): Promise<WebAssembly.Module> {
  const url = new URL("./press.wasm", import.meta.url);
  if (url.protocol === "file:") {
    // Node cannot fetch files. The name is not a literal, so that bundlers for browsers leave it alone.
    const name = "node:fs/promises";
    const files = (await import(/* @vite-ignore */ name)) as { readFile(path: URL): Promise<Uint8Array<ArrayBuffer>> };
    return WebAssembly.compile(await files.readFile(url));
  }
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: ${response.status} ${response.statusText}`);
  return WebAssembly.compile(await response.arrayBuffer());
}

/** One file's instance. After an error that came from its bytes nothing can be asked of it any more. */
export class Instance {
  private constructor(private readonly exports: Exports) {}

  static async of(module: WebAssembly.Module): Promise<Instance> {
    const instance = await WebAssembly.instantiate(module);
    const exports = instance.exports as unknown as Exports;
    exports._initialize();
    return new Instance(exports);
  }

  frontLength(header: Uint8Array): number {
    return this.with(header, (at) => this.exports.sp_front_length(at, header.length));
  }

  open(front: Uint8Array): void {
    this.with(front, (at) => this.exports.sp_open(at, front.length));
  }

  layout(): { fileLength: number; wholeOffset: number; wholeLength: number } {
    const [fileLength = 0, wholeOffset = 0, wholeLength = 0] = this.numbers(this.exports.sp_layout(), 3);
    return { fileLength, wholeOffset, wholeLength };
  }

  /** After begin(). */
  places(): Float64Array {
    return this.numbers(this.exports.sp_places(), 5 * this.exports.sp_place_count());
  }

  chunks(): Float64Array {
    return this.numbers(this.exports.sp_chunks(), 6 * this.exports.sp_chunk_count());
  }

  metadata(whole: Uint8Array): Uint8Array {
    return this.with(whole, (at) => {
      const [offset = 0, length = 0] = this.numbers(this.exports.sp_metadata(at, whole.length), 2);
      return whole.slice(offset, offset + length);
    });
  }

  begin(whole: Uint8Array, { codec, count, shDegree }: Metadata): void {
    if (codec !== "splats" && codec !== "lossless") throw new PressError(`the codec '${codec}' is unknown to this decoder`);
    this.with(whole, (at) => this.exports.sp_begin(at, whole.length, count, shDegree, codec === "lossless"));
  }

  /** SH coefficients a channel, whether the order is kept, and four numbers a tile. */
  scene(): Float64Array {
    return this.numbers(this.exports.sp_scene(), 2 + 4 * this.exports.sp_tile_count());
  }

  /** `floats` numbers of a place, and after them `count` integers. */
  decode(place: number, data: Uint8Array, floats: number, count: number): { values: Float32Array; indices: Int32Array } {
    return this.with(data, (at) => {
      const out = this.call(() => this.exports.sp_room());
      this.call(() => this.exports.sp_decode(place, at, data.length, out));
      const { buffer } = this.exports.memory;
      return {
        values: new Float32Array(buffer.slice(out, out + 4 * floats)),
        indices: new Int32Array(buffer.slice(out + 4 * floats, out + 4 * (floats + count))),
      };
    });
  }

  private numbers(address: number, count: number): Float64Array {
    return new Float64Array(this.exports.memory.buffer, address, count).slice();
  }

  private with<T>(bytes: Uint8Array, use: (address: number) => T): T {
    const address = this.call(() => this.exports.sp_take(bytes.length));
    new Uint8Array(this.exports.memory.buffer).set(bytes, address);
    try {
      return this.call(() => use(address));
    } finally {
      this.exports.sp_give_back(address);
    }
  }

  private call<T>(what: () => T): T {
    try {
      return what();
    } catch (error) {
      if (!(error instanceof WebAssembly.RuntimeError)) throw error;
      throw new PressError(this.refusal() || `the decoder stopped: ${error.message}`);
    }
  }

  private refusal(): string {
    const bytes = new Uint8Array(this.exports.memory.buffer, this.exports.sp_refusal(), 1024);
    return new TextDecoder().decode(bytes.subarray(0, bytes.indexOf(0)));
  }
}

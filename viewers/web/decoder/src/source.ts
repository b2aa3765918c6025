import { PressError } from "./errors.js";

/** Where the bytes of a file come from. */
export interface RangeReader {
  /** Bytes of the whole file, once that is known. */
  readonly size: number | undefined;
  /** The bytes from `offset` on: `length` of them, or fewer where the file ends. */
  read(offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array>;
}

export type Source = string | URL | Blob | ArrayBuffer | Uint8Array | RangeReader;

/** A reader of a URL (by range requests), a Blob or File, or bytes at hand. */
export function readerOf(source: Source): RangeReader {
  if (typeof source === "string" || source instanceof URL) return new UrlReader(String(source));
  if (source instanceof Uint8Array) return new BytesReader(source);
  if (source instanceof ArrayBuffer) return new BytesReader(new Uint8Array(source));
  if (source instanceof Blob) return new BlobReader(source);
  return source;
}

class BytesReader implements RangeReader {
  constructor(private readonly bytes: Uint8Array) {}

  get size(): number {
    return this.bytes.length;
  }

  async read(offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array> {
    signal?.throwIfAborted();
    return this.bytes.subarray(offset, offset + length);
  }
}

class BlobReader implements RangeReader {
  constructor(private readonly blob: Blob) {}

  get size(): number {
    return this.blob.size;
  }

  async read(offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array> {
    signal?.throwIfAborted();
    const bytes = await this.blob.slice(offset, offset + length).arrayBuffer();
    signal?.throwIfAborted();
    return new Uint8Array(bytes);
  }
}

/** Asks for ranges; from a server that has none the whole file is taken, once. */
class UrlReader implements RangeReader {
  size: number | undefined;
  private whole: Uint8Array | undefined;

  constructor(private readonly url: string) {}

  async read(offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array> {
    if (this.whole) return this.whole.subarray(offset, offset + length);
    if (length === 0) return new Uint8Array(0);
    const range = `bytes=${offset}-${offset + length - 1}`;
    const response = await fetch(this.url, { headers: { Range: range }, ...(signal ? { signal } : {}) });
    if (response.status === 416) return new Uint8Array(0);
    if (!response.ok) throw new PressError(`${this.url}: ${response.status} ${response.statusText}`.trimEnd());
    const bytes = new Uint8Array(await response.arrayBuffer());
    if (response.status !== 206) {
      this.whole = bytes;
      this.size = bytes.length;
      return bytes.subarray(offset, offset + length);
    }
    const told = response.headers.get("Content-Range");
    const found = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(told ?? "");
    // Servers elsewhere often do not let pages read that header. What the bytes are the checksums tell.
    const fits = told === null || (found !== null && Number(found[1]) === offset);
    if (!fits || bytes.length > length) throw new PressError(`${this.url}: the server sent another range than ${range}`);
    if (found && found[2] !== "*") this.size = Number(found[2]);
    return bytes;
  }
}

/** The same source, whose first bytes have been read. */
export function withStart(reader: RangeReader, start: Uint8Array): RangeReader {
  return {
    get size() {
      return reader.size;
    },
    async read(offset, length, signal) {
      const held = start.subarray(offset, offset + length);
      if (held.length === length) return held;
      const rest = await reader.read(offset + held.length, length - held.length, signal);
      return held.length ? joined(held, rest) : rest;
    },
  };
}

/** Reads all of a range, or says that the file ends too soon. */
export async function readExactly(
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

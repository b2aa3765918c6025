import { type Contents, contentsOf } from "./contents.js";
import { parseMetadata } from "./metadata.js";
import { Instance } from "./module.js";
import { type Part, type Place, type Splats, splatsOf, widthOf } from "./splats.js";

/** Where things lie in a file. */
export interface Layout {
  fileLength: number;
  wholeOffset: number;
  wholeLength: number;
}

/** Who reads the front of a file, in these steps, and decodes its places. The levels of a tile are asked for in
 * their order. */
export interface Backend<T> {
  /** Parts that may wait to be taken. */
  readonly ahead: number;
  /** Bytes of header and index, from the header. */
  frontLength(header: Uint8Array): Promise<number>;
  /** front: the file as far as its chunk index goes. */
  open(front: Uint8Array): Promise<Layout>;
  /** whole: the bytes of what holds for the whole scene. */
  begin(whole: Uint8Array): Promise<Contents>;
  decode(number: number, place: Place, bytes: Uint8Array): Promise<Part<T>>;
  close(): void;
}

/** One file's decoder, at once. */
export class Decoder {
  private fileLength = 0;
  private contents: Contents | undefined;

  private constructor(private readonly instance: Instance) {}

  static async of(module: WebAssembly.Module): Promise<Decoder> {
    return new Decoder(await Instance.of(module));
  }

  frontLength(header: Uint8Array): number {
    return this.instance.frontLength(header);
  }

  open(front: Uint8Array): Layout {
    this.instance.open(front);
    const layout = this.instance.layout();
    this.fileLength = layout.fileLength;
    return layout;
  }

  begin(whole: Uint8Array): Contents {
    const metadata = parseMetadata(this.instance.metadata(whole));
    this.instance.begin(whole, metadata);
    this.contents = contentsOf(this.instance, metadata, this.fileLength);
    return this.contents;
  }

  decode(number: number, place: Place, bytes: Uint8Array): Part {
    const { shCount, keepsOrder } = this.contents!;
    const { count } = place;
    const start = performance.now();
    const { values, indices } = this.instance.decode(number, bytes, count * widthOf(shCount), count);
    const milliseconds = performance.now() - start;
    return { place, splats: splatsOf(values, count, shCount), indices: keepsOrder ? indices : undefined, milliseconds };
  }
}

/** Decodes where it is called. */
export class Here implements Backend<Splats> {
  readonly ahead = 1;

  private constructor(private readonly decoder: Decoder) {}

  static async of(module: WebAssembly.Module): Promise<Here> {
    return new Here(await Decoder.of(module));
  }

  async frontLength(header: Uint8Array): Promise<number> {
    return this.decoder.frontLength(header);
  }

  async open(front: Uint8Array): Promise<Layout> {
    return this.decoder.open(front);
  }

  async begin(whole: Uint8Array): Promise<Contents> {
    return this.decoder.begin(whole);
  }

  async decode(number: number, place: Place, bytes: Uint8Array): Promise<Part> {
    return this.decoder.decode(number, place, bytes);
  }

  close(): void {
    // The instance goes with this object.
  }
}

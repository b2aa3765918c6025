import type { Metadata } from "./metadata.js";
import { Instance } from "./module.js";
import { type Part, type Place, type Splats, splatsOf, widthOf } from "./splats.js";

/** What every decoder of a file starts from. */
export interface Beginning {
  module: WebAssembly.Module;
  /** The file as far as its chunk index goes. */
  front: Uint8Array;
  /** The bytes of what holds for the whole scene. */
  whole: Uint8Array;
  metadata: Metadata;
  shCount: number;
  keepsOrder: boolean;
}

/** Who decodes a file's places. The levels of a tile are asked for in their order. */
export interface Backend<T> {
  /** Parts that may wait to be taken. */
  readonly ahead: number;
  decode(number: number, place: Place, bytes: Uint8Array): Promise<Part<T>>;
  close(): void;
}

/** Decodes where it is called. */
export class Here implements Backend<Splats> {
  readonly ahead = 1;

  constructor(
    private readonly instance: Instance,
    private readonly about: Pick<Beginning, "shCount" | "keepsOrder">,
  ) {}

  static async of(beginning: Beginning): Promise<Here> {
    const instance = await Instance.of(beginning.module);
    instance.open(beginning.front);
    instance.begin(beginning.whole, beginning.metadata);
    return new Here(instance, beginning);
  }

  async decode(number: number, place: Place, bytes: Uint8Array): Promise<Part> {
    return this.decodeNow(number, place, bytes);
  }

  decodeNow(number: number, place: Place, bytes: Uint8Array): Part {
    const { shCount, keepsOrder } = this.about;
    const { count } = place;
    const start = performance.now();
    const { values, indices } = this.instance.decode(number, bytes, count * widthOf(shCount), count);
    const milliseconds = performance.now() - start;
    return { place, splats: splatsOf(values, count, shCount), indices: keepsOrder ? indices : undefined, milliseconds };
  }

  close(): void {
    // The instance goes with this object.
  }
}

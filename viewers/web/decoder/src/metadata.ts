import { PressError } from "./errors.js";

/** How good the file is, measured by who encoded it. */
export interface Quality {
  /** dB against renders of the source; null if they are equal. */
  psnr: number | null;
  ssim: number;
  views: number;
  /** Pixels. */
  width: number;
  cameras: string;
  background: string;
}

/** What a file says of itself: docs/spec/metadata.md. */
export interface Metadata {
  kind: string;
  /** Splats. */
  count: number;
  shDegree: number;
  axes: string;
  antialiased: boolean;
  codec: string;
  preset: string;
  sourceName: string;
  sourceFormat: string;
  encoder: string;
  quality: Quality | undefined;
}

const MAX_BYTES = 1 << 16;
const MAX_COUNT = 2 ** 31 - 1;

/** The metadata of a chunk's bytes. */
export function parseMetadata(bytes: Uint8Array): Metadata {
  if (bytes.length > MAX_BYTES) throw new PressError(`metadata has ${bytes.length} bytes; the limit is ${MAX_BYTES}`);
  let root: unknown;
  try {
    root = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    throw new PressError(`metadata is not UTF-8 JSON: ${(error as Error).message}`);
  }
  const fields = new Fields(root, "");
  return {
    kind: fields.text("kind"),
    count: fields.number("count", 0, MAX_COUNT, true),
    shDegree: fields.number("sh_degree", 0, 3, true),
    axes: fields.text("axes"),
    antialiased: fields.flag("antialiased"),
    codec: fields.text("codec"),
    preset: fields.optional("preset"),
    sourceName: fields.optional("source_name"),
    sourceFormat: fields.optional("source_format"),
    encoder: fields.optional("encoder"),
    quality: fields.has("quality") ? quality(new Fields(fields.get("quality"), "quality.")) : undefined,
  };
}

function quality(fields: Fields): Quality {
  return {
    psnr: fields.get("psnr") === null ? null : fields.number("psnr", -1000, 1000, false),
    ssim: fields.number("ssim", -1, 1, false),
    views: fields.number("views", 1, 1_000_000, true),
    width: fields.number("width", 1, 1_000_000, true),
    cameras: fields.text("cameras"),
    background: fields.optional("background") || "black",
  };
}

class Fields {
  private readonly values: Record<string, unknown>;

  constructor(
    root: unknown,
    private readonly prefix: string,
  ) {
    if (typeof root !== "object" || root === null || Array.isArray(root)) {
      throw new PressError(`metadata ${prefix || "as a whole"} is not a JSON object`);
    }
    this.values = root as Record<string, unknown>;
  }

  has(key: string): boolean {
    return Object.hasOwn(this.values, key);
  }

  get(key: string): unknown {
    if (!this.has(key)) throw new PressError(`metadata key '${this.prefix}${key}' is missing`);
    return this.values[key];
  }

  number(key: string, low: number, high: number, whole: boolean): number {
    const value = this.get(key);
    if (typeof value !== "number" || !(value >= low && value <= high) || (whole && !Number.isInteger(value))) {
      throw new PressError(`metadata key '${this.prefix}${key}' is not a number in ${low}..${high}`);
    }
    return value;
  }

  flag(key: string): boolean {
    const value = this.get(key);
    if (typeof value !== "boolean") throw new PressError(`metadata key '${this.prefix}${key}' is not a boolean`);
    return value;
  }

  text(key: string): string {
    const value = this.get(key);
    if (typeof value !== "string") throw new PressError(`metadata key '${this.prefix}${key}' is not a string`);
    return value;
  }

  optional(key: string): string {
    return this.has(key) ? this.text(key) : "";
  }
}

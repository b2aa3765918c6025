/** What a worker of a Pool runs. */
import { Decoder } from "./backend.js";
import { PressError } from "./errors.js";
import type { Part, Place, Splats } from "./splats.js";

export type { Part, Place, Splats } from "./splats.js";

/** @internal */
export type Question =
  | { kind: "make"; file: number; module: WebAssembly.Module }
  | { kind: "frontLength" | "open" | "begin"; file: number; bytes: Uint8Array }
  | { kind: "decode"; file: number; number: number; place: Place; bytes: Uint8Array }
  | { kind: "close"; file: number };

/** @internal */
export interface Answer {
  call: number;
  value?: unknown;
  error?: string;
  /** The file is to blame. */
  damaged?: boolean;
}

/** What becomes of a part before it leaves the worker, and the buffers to hand over with it. */
export interface Made<T> {
  value: T;
  transfer: Transferable[];
}

/** Answers a Pool. make: what the other side gets for the splats of each part; the splats themselves if not given. */
export function serve<T = Splats>(make?: (part: Part) => Made<T>): void {
  const files = new Map<number, Promise<Decoder>>();
  const answer = async (question: Question): Promise<Made<unknown>> => {
    const { kind, file } = question;
    if (kind === "close") files.delete(file);
    if (kind === "make") {
      const made = Decoder.of(question.module);
      files.set(file, made);
      await made;
    }
    if (kind === "make" || kind === "close") return { value: undefined, transfer: [] };
    const decoder = await files.get(file);
    if (!decoder) throw new Error("the file has been closed");
    if (kind !== "decode") return { value: decoder[kind](question.bytes), transfer: [] };
    const part = decoder.decode(question.number, question.place, question.bytes);
    const made = make ? make(part) : { value: part.splats, transfer: [part.splats.means.buffer] };
    const transfer = part.indices ? [...made.transfer, part.indices.buffer] : made.transfer;
    return { value: { ...part, splats: made.value }, transfer };
  };
  const scope = globalThis as unknown as Worker;
  scope.onmessage = async ({ data: { call, question } }: MessageEvent<{ call: number; question: Question }>) => {
    try {
      const { value, transfer } = await answer(question);
      scope.postMessage({ call, value } satisfies Answer, transfer as Transferable[]);
    } catch (error) {
      const damaged = error instanceof PressError;
      const message = error instanceof Error ? error.message : String(error);
      scope.postMessage({ call, error: message, damaged } satisfies Answer);
    }
  };
}

/** What a worker of a Pool runs. */
import { type Beginning, Here } from "./backend.js";
import { PressError } from "./errors.js";
import type { Part, Place, Splats } from "./splats.js";

export type { Part, Place, Splats } from "./splats.js";

/** @internal */
export type Question =
  | { kind: "open"; file: number; beginning: Beginning }
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
  const files = new Map<number, Here>();
  const answer = async (question: Question): Promise<Made<unknown>> => {
    if (question.kind === "close") files.delete(question.file);
    else if (question.kind === "open") files.set(question.file, await Here.of(question.beginning));
    else {
      const file = files.get(question.file);
      if (!file) throw new Error("the file has been closed");
      const part = file.decodeNow(question.number, question.place, question.bytes);
      const made = make ? make(part) : { value: part.splats, transfer: [part.splats.means.buffer] };
      const transfer = part.indices ? [...made.transfer, part.indices.buffer] : made.transfer;
      return { value: { ...part, splats: made.value }, transfer };
    }
    return { value: undefined, transfer: [] };
  };
  const scope = globalThis as unknown as Worker;
  scope.onmessage = async ({ data: { call, question } }: MessageEvent<{ call: number; question: Question }>) => {
    try {
      const { value, transfer } = await answer(question);
      scope.postMessage({ call, value } satisfies Answer, transfer as Transferable[]);
    } catch (error) {
      const damaged = error instanceof PressError;
      scope.postMessage({ call, error: (error as Error).message, damaged } satisfies Answer);
    }
  };
}

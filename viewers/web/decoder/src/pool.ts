import type { Backend, Beginning } from "./backend.js";
import { PressError } from "./errors.js";
import type { Answer, Question } from "./worker.js";
import type { Part, Place, Splats } from "./splats.js";

/** Places on their way to a worker, each. */
const LANE = 2;

interface Waiting {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

/**
 * Workers that decode, for any number of files. A tile's levels are decoded by one worker, in their order, so a
 * file keeps as many busy as it has tiles.
 *
 *     const pool = new Pool(() => new Worker(new URL("./my-worker.js", import.meta.url), { type: "module" }));
 *     const file = await open(url, { pool });
 *
 * where my-worker.js calls serve() of "@scenepress/decoder/worker".
 */
export class Pool<T = Splats> {
  private readonly lanes: Lane[];
  private files = 0;

  /** size: workers; as many as the machine has processors, at most four, if not given. */
  constructor(make: () => Worker, size = Math.max(1, Math.min(4, (globalThis.navigator?.hardwareConcurrency ?? 2) - 1))) {
    this.lanes = Array.from({ length: size }, () => new Lane(make()));
  }

  get size(): number {
    return this.lanes.length;
  }

  /** @internal */
  begin(beginning: Beginning): Backend<T> {
    const file = this.files++;
    const { lanes } = this;
    // Lanes that no tile falls to never hear of the file.
    const opened = new Map<Lane, Promise<unknown>>();
    return {
      ahead: LANE * lanes.length,
      async decode(number: number, place: Place, bytes: Uint8Array) {
        const own = bytes.slice(); // The run of bytes it was cut from serves other places too.
        const lane = lanes[place.tile % lanes.length]!;
        let open = opened.get(lane);
        if (!open) opened.set(lane, (open = lane.ask({ kind: "open", file, beginning })));
        await open;
        return (await lane.ask({ kind: "decode", file, number, place, bytes: own }, [own.buffer])) as Part<T>;
      },
      close() {
        for (const lane of opened.keys()) void lane.ask({ kind: "close", file }).catch(() => undefined);
      },
    };
  }

  /** Ends the workers. What is under way fails. */
  dispose(): void {
    for (const lane of this.lanes) lane.end(new PressError("the pool was disposed of"));
  }
}

class Lane {
  private readonly waiting = new Map<number, Waiting>();
  private calls = 0;

  constructor(private readonly worker: Worker) {
    worker.onmessage = ({ data }: MessageEvent<Answer>) => {
      const call = this.waiting.get(data.call);
      this.waiting.delete(data.call);
      if (data.error === undefined) call?.resolve(data.value);
      else call?.reject(data.damaged ? new PressError(data.error) : new Error(data.error));
    };
    worker.onerror = (event) => this.fail(new Error(`a decoding worker failed: ${event.message || "it cannot be loaded"}`));
  }

  ask(question: Question, transfer: Transferable[] = []): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const call = this.calls++;
      this.waiting.set(call, { resolve, reject });
      this.worker.postMessage({ call, question }, transfer);
    });
  }

  end(error: Error): void {
    this.worker.terminate();
    this.fail(error);
  }

  private fail(error: Error): void {
    for (const { reject } of this.waiting.values()) reject(error);
    this.waiting.clear();
  }
}

import type { Backend, Layout } from "./backend.js";
import type { Contents } from "./contents.js";
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
    if (!(size >= 1)) throw new Error(`a pool has at least one worker, not ${size}`);
    this.lanes = Array.from({ length: size }, () => new Lane(make()));
  }

  get size(): number {
    return this.lanes.length;
  }

  /** @internal */
  file(module: WebAssembly.Module): Backend<T> {
    return new Pooled(this.lanes, this.files++, module);
  }

  /** Ends the workers. What is under way fails. */
  dispose(): void {
    for (const lane of this.lanes) lane.end(new PressError("the pool was disposed of"));
  }
}

/** A file whose front one worker reads; the others follow when a tile falls to them. */
class Pooled<T> implements Backend<T> {
  readonly ahead: number;
  private readonly opened = new Map<Lane, Promise<unknown>>();
  private readonly first: Lane;
  private front = new Uint8Array(0);
  private whole = new Uint8Array(0);
  private closed = false;

  constructor(
    private readonly lanes: readonly Lane[],
    private readonly file: number,
    private readonly module: WebAssembly.Module,
  ) {
    this.ahead = LANE * lanes.length;
    this.first = this.laneOf(0);
    const made = this.first.ask({ kind: "make", file, module });
    made.catch(() => undefined); // Told by the first step, if there is one.
    this.opened.set(this.first, made);
  }

  async frontLength(bytes: Uint8Array): Promise<number> {
    return (await this.step("frontLength", bytes)) as number;
  }

  async open(front: Uint8Array): Promise<Layout> {
    this.front = new Uint8Array(front);
    return (await this.step("open", this.front)) as Layout;
  }

  async begin(whole: Uint8Array): Promise<Contents> {
    this.whole = new Uint8Array(whole);
    return (await this.step("begin", this.whole)) as Contents;
  }

  async decode(number: number, place: Place, bytes: Uint8Array): Promise<Part<T>> {
    const { file } = this;
    if (this.closed) throw new Error("the file has been closed");
    const own = new Uint8Array(bytes); // A copy: the run of bytes it was cut from serves other places too.
    const lane = this.laneOf(place.tile);
    let open = this.opened.get(lane);
    if (!open) this.opened.set(lane, (open = this.follow(lane)));
    await open;
    return (await lane.ask({ kind: "decode", file, number, place, bytes: own }, [own.buffer])) as Part<T>;
  }

  close(): void {
    this.closed = true;
    for (const lane of this.opened.keys()) void lane.ask({ kind: "close", file: this.file }).catch(() => undefined);
  }

  /** Small files of one tile fall to different workers. */
  private laneOf(tile: number): Lane {
    return this.lanes[(this.file + tile) % this.lanes.length]!;
  }

  private async step(kind: "frontLength" | "open" | "begin", bytes: Uint8Array): Promise<unknown> {
    await this.opened.get(this.first);
    return this.first.ask({ kind, file: this.file, bytes });
  }

  private async follow(lane: Lane): Promise<void> {
    const { file, module } = this;
    await Promise.all([
      lane.ask({ kind: "make", file, module }),
      lane.ask({ kind: "open", file, bytes: this.front }),
      lane.ask({ kind: "begin", file, bytes: this.whole }),
    ]);
  }
}

class Lane {
  private readonly waiting = new Map<number, Waiting>();
  private calls = 0;
  /** Why nothing can be asked any more. */
  private broken: Error | undefined;

  constructor(private readonly worker: Worker) {
    worker.onmessage = ({ data }: MessageEvent<Answer>) => {
      const call = this.waiting.get(data.call);
      this.waiting.delete(data.call);
      if (data.error === undefined) call?.resolve(data.value);
      else call?.reject(data.damaged ? new PressError(data.error) : new Error(data.error));
    };
    worker.onerror = (event) => this.fail(new Error(`a decoding worker failed: ${event.message || "it cannot be loaded"}`));
    worker.onmessageerror = () => this.fail(new Error("a decoding worker's answer cannot be read"));
  }

  ask(question: Question, transfer: Transferable[] = []): Promise<unknown> {
    if (this.broken) return Promise.reject(this.broken);
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
    this.broken ??= error;
    for (const { reject } of this.waiting.values()) reject(error);
    this.waiting.clear();
  }
}

/** Measures differences beside the page. */
import { difference } from "./difference.js";

export interface Request {
  /** Comes back with the answer. */
  number: number;
  a: Uint8Array<ArrayBuffer>;
  b: Uint8Array<ArrayBuffer>;
  width: number;
  height: number;
}

const scope = globalThis as unknown as Worker;
scope.onmessage = ({ data: { number, a, b, width, height } }: MessageEvent<Request>) => {
  const found = difference(a, b, width, height);
  scope.postMessage({ number, found }, [found.heat.buffer]);
};

/** Measures differences beside the page. */
import { difference } from "./difference.js";

export interface Request {
  a: Uint8Array<ArrayBuffer>;
  b: Uint8Array<ArrayBuffer>;
  width: number;
  height: number;
}

const scope = globalThis as unknown as Worker;
scope.onmessage = ({ data: { a, b, width, height } }: MessageEvent<Request>) => {
  const found = difference(a, b, width, height);
  scope.postMessage(found, [found.heat.buffer]);
};

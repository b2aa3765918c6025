// A worker of the pool in Node: the browser's names over worker_threads.
import { parentPort, workerData } from "node:worker_threads";

if (workerData === "broken") throw new Error("made to fail");
globalThis.postMessage = (data, transfer) => parentPort.postMessage(data, transfer);
const { serve } = await import("../../viewers/web/decoder/dist/worker.js");
serve(workerData === "angry" ? () => { throw null; } : undefined);
parentPort.on("message", (data) => globalThis.onmessage({ data }));

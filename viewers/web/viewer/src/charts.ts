/** What a file's bytes went to: bars by stage and by level. */
import type { Chunk } from "@scenepress/decoder";

import { bytes, h } from "./dom.js";

/** Smaller stages hold for the whole scene. */
const FIRST_LEVEL_STAGE = 0x10;
/** docs/spec/container.md's table of stages. */
const STAGES: Record<number, string> = {
  0x01: "metadata",
  0x02: "tiles",
  0x03: "splat parameters",
  0x10: "order",
  0x11: "position",
  0x12: "opacity",
  0x13: "scale",
  0x14: "rotation",
  0x15: "colour",
  0x16: "SH",
  0x17: "position refinement",
  0x1f: "lossless",
};

export function rateByStage(chunks: readonly Chunk[], splats: number): HTMLElement {
  const sums = sumBy(chunks, (chunk) => STAGES[chunk.stage] ?? `stage ${chunk.stage}`);
  return bars([...sums].sort((a, b) => b[1] - a[1]), (length) => `${((8 * length) / Math.max(splats, 1)).toFixed(2)} bit`);
}

export function rateByLevel(chunks: readonly Chunk[]): HTMLElement {
  const levels = chunks.filter(({ stage }) => stage >= FIRST_LEVEL_STAGE);
  const sums = sumBy(levels, ({ level }) => `level ${level}`);
  return bars([...sums].sort(([a], [b]) => a.localeCompare(b, "en", { numeric: true })), bytes);
}

function sumBy(chunks: readonly Chunk[], key: (chunk: Chunk) => string): Map<string, number> {
  const sums = new Map<string, number>();
  for (const chunk of chunks) sums.set(key(chunk), (sums.get(key(chunk)) ?? 0) + chunk.length);
  return sums;
}

function bars(rows: readonly (readonly [string, number])[], tell: (length: number) => string): HTMLElement {
  const total = rows.reduce((sum, [, length]) => sum + length, 0);
  const most = Math.max(1, ...rows.map(([, length]) => length));
  const chart = h("div", { className: "bars" });
  for (const [name, length] of rows) {
    const bar = h("span", { className: "bar" });
    bar.style.width = `${(100 * length) / most}%`;
    const share = `${((100 * length) / Math.max(total, 1)).toFixed(1)} % of the bytes, ${bytes(length)}`;
    chart.append(
      h("span", { className: "name", title: share }, name),
      h("span", { className: "track", title: share }, bar),
      h("span", { className: "number", title: share }, tell(length)),
    );
  }
  return chart;
}

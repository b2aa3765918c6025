// Decodes the files named on standard input, one a line, with the web decoder; prints a line of JSON for each: hashes.mjs.
import { readFileSync } from "node:fs";

import { open } from "../../viewers/web/decoder/dist/index.js";
import { hashesOf } from "./hashes.mjs";

for (const path of readFileSync(0, "utf-8").split("\n").filter(Boolean)) {
  console.log(JSON.stringify(await hashesOf(open, readFileSync(path))));
}

/** A worker of the decoding pool: its parts leave it ready for the GPU. */
import { serve } from "@scenepress/decoder/worker";

import { pack, type Packed } from "./pack.js";

serve<Packed>(({ splats }) => {
  const value = pack(splats);
  const arrays = [value.centers, value.shapes, ...value.harmonics, value.sample];
  return { value, transfer: arrays.map((array) => array.buffer) };
});

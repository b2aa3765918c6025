// Answers with how many splats there are, once all floats are JavaScript's.
import { loadSpz } from "/node_modules/@spz-loader/core/dist/index.js";

onmessage = async ({ data }) => {
  try {
    const { numPoints, positions, scales, rotations, alphas, colors, sh } = await loadSpz(data);
    const arrays = [positions, scales, rotations, alphas, colors, sh];
    postMessage(numPoints, arrays.map((array) => array.buffer));
  } catch (error) {
    postMessage(String(error));
  }
};

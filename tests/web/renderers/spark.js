// The scene in three.js with Spark.
import * as THREE from "three";
import { SparkRenderer, SplatMesh } from "@sparkjsdev/spark";

const BATCH = 128;
const plain = new URLSearchParams(location.search).has("plain");

// Spark draws an instance a splat; WebGL in software pays 13 us for each. Here an instance is 128 splats.
class Batched extends SparkRenderer {
  constructor(options) {
    const count = { value: 0 };
    super({ ...options, extraUniforms: { splatCount: count } });
    this.count = count;
    const corners = [[-1, -1], [1, -1], [1, 1], [-1, 1]];
    const geometry = new THREE.InstancedBufferGeometry();
    const position = new Float32Array(BATCH * 12), index = new Uint16Array(BATCH * 6);
    for (let i = 0; i < BATCH; ++i) {
      corners.forEach(([x, y], k) => position.set([x, y, 0], 12 * i + 3 * k));
      index.set([0, 1, 2, 0, 2, 3].map((k) => 4 * i + k), 6 * i);
    }
    geometry.setAttribute("position", new THREE.BufferAttribute(position, 3));
    geometry.setIndex(new THREE.BufferAttribute(index, 1));
    this.geometry = geometry;
    let shader = this.material.vertexShader;
    const change = (from, to) => {
      if (!shader.includes(from)) throw new Error("the shader is not the one this was written for");
      shader = shader.replaceAll(from, to);
    };
    change("gl_InstanceID", "splatNumber");
    change("ivec2 orderingCoord", `int splatNumber = gl_InstanceID * ${BATCH} + gl_VertexID / 4;\n    if (splatNumber >= splatCount) return;\n    ivec2 orderingCoord`);
    change("uniform usampler2D ordering;", "uniform usampler2D ordering;\nuniform int splatCount;");
    change("adjustedStdDev = maxStdDev;", "adjustedStdDev = min(maxStdDev, sqrt(2.0 * log(max(rgba.a / minAlpha, 1.0))));");
    this.material.vertexShader = shader;
  }

  onBeforeRender(...all) {
    super.onBeforeRender(...all);
    this.count.value = this.activeSplats;
    this.geometry.instanceCount = Math.ceil(this.activeSplats / BATCH);
  }
}

export async function start(url, antialiased) {
  const canvas = document.getElementById("canvas");
  const renderer = new THREE.WebGLRenderer({ canvas, antialias: false, preserveDrawingBuffer: true });
  renderer.setSize(canvas.width, canvas.height, false);
  const scene = new THREE.Scene();
  const spark = new (plain ? SparkRenderer : Batched)({
    renderer, sortRadial: false, maxStdDev: Math.sqrt(2 * Math.log(255)), minAlpha: 1 / 255,
    preBlurAmount: antialiased ? 0 : 0.3, blurAmount: antialiased ? 0.3 : 0, accumExtSplats: true,
  });
  scene.add(spark);
  const begun = performance.now();
  const mesh = new SplatMesh({ url, extSplats: true });
  scene.add(mesh);
  await mesh.initialized;
  const loaded = performance.now() - begun;
  const camera = new THREE.PerspectiveCamera(60, 1, 0.05, 1000);
  camera.matrixAutoUpdate = false;
  return {
    loaded,
    version: `three ${THREE.REVISION}, Spark 2.2.0`,
    look(matrix, fov) {
      camera.matrix.fromArray(matrix);
      camera.matrixWorldNeedsUpdate = true;
      camera.fov = fov;
      camera.updateProjectionMatrix();
    },
    draw: () => renderer.render(scene, camera),
    settled: () => !spark.sorting && !spark.sortDirty && spark.activeSplats > 0,
    finish: () => renderer.getContext().finish(),
  };
}

/** Spark's renderer, set to draw what the project's rasterizer draws (docs/rendering.md), and drawing it faster. */
import { SparkRenderer, type SparkRendererOptions } from "@sparkjsdev/spark";
import * as THREE from "three";

/** Splats drawn by one instance. Spark's own instance is one splat, which costs software and some GPUs dearly. */
const BATCH = 128;
/** Standard deviations at which a splat of opacity 1 falls below 1/255, where it ends. */
const REACH = Math.sqrt(2 * Math.log(255));
/** The low-pass filter of 3D Gaussian splatting: pixels squared. */
const BLUR = 0.3;

/** Draws the splats of a three.js scene; add it to that scene. */
export class SplatRenderer extends SparkRenderer {
  /** Milliseconds from the last sort's start to its end. */
  sortMilliseconds = 0;
  private readonly shown: { value: number };
  private timed = 0;

  /** changed: called whenever there is something new to draw. */
  constructor(renderer: THREE.WebGLRenderer, changed: () => void) {
    const shown = { value: 0 };
    const options: SparkRendererOptions = {
      renderer,
      sortRadial: false,
      maxStdDev: REACH,
      minAlpha: 1 / 255,
      maxPixelRadius: 4096,
      clipXY: 2,
      preBlurAmount: BLUR,
      blurAmount: 0,
      accumExtSplats: true,
      enableLod: false,
      extraUniforms: { splatCount: shown },
    };
    super(options);
    this.shown = shown;
    this.geometry = quads(BATCH);
    this.material.vertexShader = batched(this.material.vertexShader);
    this.onDirty = () => {
      if (!this.sorting && this.lastSortTime !== this.timed) {
        this.timed = this.lastSortTime;
        this.sortMilliseconds = performance.now() - this.lastSortTime;
      }
      changed();
    };
  }

  /** A scene was trained with the filter that keeps a splat's energy, or without. */
  setAntialiased(antialiased: boolean): void {
    this.preBlurAmount = antialiased ? 0 : BLUR;
    this.blurAmount = antialiased ? BLUR : 0;
  }

  /** Whether what is drawn is in the order of the present view. */
  get settled(): boolean {
    return !this.sorting && !this.sortDirty && this.display === this.current;
  }

  override onBeforeRender(renderer: THREE.WebGLRenderer, scene: THREE.Scene, camera: THREE.Camera): void {
    super.onBeforeRender(renderer, scene, camera);
    this.shown.value = this.activeSplats;
    (this.geometry as THREE.InstancedBufferGeometry).instanceCount = Math.ceil(this.activeSplats / BATCH);
  }
}

function quads(count: number): THREE.InstancedBufferGeometry {
  const corners = [-1, -1, 0, 1, -1, 0, 1, 1, 0, -1, 1, 0];
  const triangles = [0, 1, 2, 0, 2, 3];
  const geometry = new THREE.InstancedBufferGeometry();
  const position = Float32Array.from({ length: 12 * count }, (_, i) => corners[i % 12]!);
  const index = Uint16Array.from({ length: 6 * count }, (_, i) => 4 * Math.floor(i / 6) + triangles[i % 6]!);
  geometry.setAttribute("position", new THREE.BufferAttribute(position, 3));
  geometry.setIndex(new THREE.BufferAttribute(index, 1));
  geometry.instanceCount = 0;
  return geometry;
}

/** Spark's vertex shader for instances of many splats, with quads that end where their splat is seen no more. */
function batched(shader: string): string {
  const changes: [string, string][] = [
    ["gl_InstanceID", "splatNumber"],
    ["uniform usampler2D ordering;", "uniform usampler2D ordering;\nuniform int splatCount;"],
    [
      "ivec2 orderingCoord",
      `int splatNumber = gl_InstanceID * ${BATCH} + gl_VertexID / 4;
    if (splatNumber >= splatCount) return;
    ivec2 orderingCoord`,
    ],
    ["adjustedStdDev = maxStdDev;", "adjustedStdDev = min(maxStdDev, sqrt(2.0 * log(max(rgba.a / minAlpha, 1.0))));"],
  ];
  for (const [from, to] of changes) {
    if (!shader.includes(from)) throw new Error(`Spark's shader has changed: '${from}' is not in it`);
    shader = shader.replaceAll(from, to);
  }
  return shader;
}

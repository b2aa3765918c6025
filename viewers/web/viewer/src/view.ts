/** What is on the canvas: one scene, or two side by side; the camera; and the loop that draws when something is new. */
import { SparkControls, SplatMesh } from "@sparkjsdev/spark";
import * as THREE from "three";
import { OrbitControls } from "three/addons/controls/OrbitControls.js";

import type { Asset, Piece } from "./asset.js";
import { SplatRenderer } from "./renderer.js";
import { FIELD_OF_VIEW, survey } from "./survey.js";

/** What a side shows: the levels 0 to `level` of a scene. */
export interface Choice {
  asset: Asset;
  level: number;
}

export type Navigation = "orbit" | "fly";

/** A place to look from: column-major camera-to-world in three.js's axes (right, up, back), and what is orbited. */
export interface Pose {
  matrix: number[];
  target: [number, number, number];
  /** Vertical, in degrees. */
  fov: number;
}

/** Frames further apart than this, in milliseconds, are not of one movement. */
const PAUSE = 400;
/** Pixels a side at most that are drawn for one CSS pixel. */
const SHARPEST = 2;

class Side {
  readonly scene = new THREE.Scene();
  readonly spark: SplatRenderer;
  choice: Choice | undefined;
  private readonly group = new THREE.Group();
  private readonly meshes = new Map<Piece, SplatMesh>();

  constructor(renderer: THREE.WebGLRenderer, changed: () => void) {
    this.spark = new SplatRenderer(renderer, changed);
    this.scene.add(this.spark, this.group);
  }

  get splats(): number {
    let sum = 0;
    for (const piece of this.meshes.keys()) sum += piece.count;
    return sum;
  }

  /** Shows what is chosen, as far as it is there. */
  update(shDegree: number, scale: number): void {
    const wanted = new Set(this.choice?.asset.pieces.filter(({ level }) => level <= this.choice!.level));
    for (const [piece, mesh] of this.meshes) {
      if (wanted.has(piece)) continue;
      this.group.remove(mesh);
      this.meshes.delete(piece);
    }
    for (const piece of wanted) {
      if (this.meshes.has(piece)) continue;
      const mesh = new SplatMesh({ splats: piece.splats });
      this.meshes.set(piece, mesh);
      this.group.add(mesh);
    }
    for (const mesh of this.meshes.values()) {
      if (mesh.maxSh === shDegree) continue;
      mesh.maxSh = shDegree;
      mesh.updateGenerator();
    }
    this.spark.setAntialiased(this.choice?.asset.metadata?.antialiased ?? false);
    if (this.choice) this.group.quaternion.copy(turnOf(this.choice.asset));
    this.group.scale.setScalar(scale);
  }
}

export class View {
  readonly camera = new THREE.PerspectiveCamera(FIELD_OF_VIEW, 1, 0.01, 1000);
  readonly renderer: THREE.WebGLRenderer;
  /** Frames a second while something moved last; 0 before. */
  fps = 0;
  /** Where the sides part: 0 to 1 of the width. */
  split = 0.5;
  /** Called after every frame; still: it will not be followed by another one soon. */
  onFrame: ((still: boolean) => void) | undefined;
  private readonly a: Side;
  private b: Side | undefined;
  private readonly orbit: OrbitControls;
  private readonly fly: SparkControls;
  private mode: Navigation = "orbit";
  private shDegree = 3;
  private dirty = true;
  private lastFrame = 0;
  /** Whether nothing was drawn for a while after the last frame. */
  private rested = true;
  private lastMove = 0;
  private stillTold = false;
  private radius = 1;
  /** Whether somebody has gone somewhere since the view was framed. */
  touched = false;
  /** Of all scenes: not 1 only in a headset, whose unit is the metre. */
  private scale = 1;
  private steer: (() => void) | undefined;

  constructor(private readonly canvas: HTMLCanvasElement) {
    this.renderer = new THREE.WebGLRenderer({ canvas, antialias: false, powerPreference: "high-performance" });
    this.a = new Side(this.renderer, () => this.redraw());
    this.orbit = new OrbitControls(this.camera, canvas);
    this.orbit.enableDamping = true;
    this.orbit.dampingFactor = 0.12;
    this.orbit.zoomToCursor = true;
    this.orbit.addEventListener("change", () => this.moved());
    this.orbit.addEventListener("start", () => (this.touched = true));
    canvas.addEventListener("webglcontextrestored", () => this.refresh());
    this.fly = new SparkControls({ canvas });
    this.navigation = "orbit";
    new ResizeObserver(() => this.resize()).observe(canvas);
    this.resize();
    this.renderer.setAnimationLoop((time) => this.tick(time));
  }

  get navigation(): Navigation {
    return this.mode;
  }

  set navigation(mode: Navigation) {
    this.mode = mode;
    this.orbit.enabled = mode === "orbit";
    this.fly.fpsMovement.enable = this.fly.pointerControls.enable = mode === "fly";
    if (mode === "orbit") {
      // What lies ahead, as far away as what was orbited before, is orbited now.
      const ahead = this.camera.getWorldDirection(new THREE.Vector3());
      this.orbit.target.copy(this.camera.position).addScaledVector(ahead, this.orbit.getDistance() || this.radius);
    }
    this.moved();
  }

  get choices(): [Choice | undefined, Choice | undefined] {
    return [this.a.choice, this.b?.choice];
  }

  /** Chooses what is seen on the left and, to compare, on the right. */
  show(a: Choice | undefined, b?: Choice): void {
    this.a.choice = a;
    if (b) this.b ??= new Side(this.renderer, () => this.redraw());
    if (this.b) this.b.choice = b;
    this.refresh();
  }

  /** After pieces have come, or a setting has changed. */
  refresh(): void {
    this.a.update(this.shDegree, this.scale);
    this.b?.update(this.shDegree, this.scale);
    this.redraw();
  }

  setShDegree(degree: number): void {
    this.shDegree = degree;
    this.refresh();
  }

  setBackground(color: string): void {
    this.renderer.setClearColor(new THREE.Color().setStyle(color, THREE.SRGBColorSpace));
    this.redraw();
  }

  get splats(): number {
    return this.a.splats;
  }

  get sortMilliseconds(): number {
    return this.a.spark.sortMilliseconds;
  }

  /** Whether the last frame shows everything, in the right order. */
  get settled(): boolean {
    return !this.dirty && this.a.spark.settled && (!this.comparing || this.b!.spark.settled);
  }

  get comparing(): boolean {
    return this.b?.choice !== undefined;
  }

  /** Looks at a scene for the first time. */
  frame(asset: Asset): void {
    const { center, distance, inside } = survey(asset.sample);
    const turn = turnOf(asset);
    const target = new THREE.Vector3(...center).applyQuaternion(turn);
    const away = new THREE.Vector3(0.35, 0.3, 1).normalize();
    this.radius = distance;
    this.camera.fov = FIELD_OF_VIEW;
    // On a narrow screen the width is what must hold the scene.
    const apart = inside ? 1e-3 * distance : distance / Math.min(1, this.camera.aspect);
    this.camera.position.copy(target).addScaledVector(away, apart);
    this.orbit.target.copy(target);
    this.clip();
    this.orbit.update();
    this.moved();
  }

  get pose(): Pose {
    this.camera.updateMatrixWorld();
    const { x, y, z } = this.orbit.target;
    return { matrix: this.camera.matrixWorld.toArray(), target: [x, y, z], fov: this.camera.fov };
  }

  set pose({ matrix, target, fov }: Pose) {
    this.touched = true;
    new THREE.Matrix4().fromArray(matrix).decompose(this.camera.position, this.camera.quaternion, new THREE.Vector3());
    this.camera.fov = fov;
    this.orbit.target.set(...target);
    this.radius = Math.max(this.camera.position.distanceTo(this.orbit.target), 1e-6);
    this.clip();
    // OrbitControls keeps no roll: it would turn the camera upright.
    if (this.mode === "orbit" && this.rolled()) this.navigation = "fly";
    this.moved();
  }

  /** The camera in a scene's own axes. */
  near(asset: Asset): [number, number, number] {
    const { x, y, z } = this.camera.position.clone().applyQuaternion(turnOf(asset).invert());
    return [x, y, z];
  }

  /** Draws the left side for a headset whose wearer stands on `rig`; steer: called before every frame. */
  wear(rig: THREE.Group, scale: number, steer: () => void): void {
    this.a.scene.add(rig);
    this.scale = scale;
    this.steer = steer;
    this.refresh();
  }

  takeOff(rig: THREE.Group): void {
    this.a.scene.remove(rig);
    this.scale = 1;
    this.steer = undefined;
    this.refresh();
    this.resize();
  }

  /** Draws one side over the whole canvas, and gives its pixels: RGBA, rows from the bottom up. */
  capture(which: "a" | "b"): { width: number; height: number; pixels: Uint8Array<ArrayBuffer> } {
    const side = which === "a" ? this.a : this.b!;
    const { width, height } = this.canvas;
    this.renderer.setScissorTest(false);
    this.renderer.render(side.scene, this.camera);
    const pixels = new Uint8Array(4 * width * height);
    const gl = this.renderer.getContext();
    gl.readPixels(0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, pixels);
    return { width, height, pixels };
  }

  /** The picture as a PNG. */
  screenshot(): Promise<Blob> {
    this.draw();
    return new Promise((resolve, reject) => {
      this.canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("the browser made no picture"))), "image/png");
    });
  }

  /** Brings back the picture that capture() drew over. */
  drawn(): void {
    this.draw();
  }

  /** The sides part elsewhere: what was measured of them still holds. */
  redrawSplit(): void {
    if (this.dirty) return;
    this.draw();
  }

  redraw(): void {
    this.dirty = true;
    this.stillTold = false;
  }

  /** Spark's controls write a rotation anew, its last bits others, where nothing has moved: put back, for otherwise all would
   * be sorted and drawn for ever. */
  private flown(): void {
    const position = this.camera.position.clone(), rotation = this.camera.quaternion.clone();
    if (this.fly.update(this.camera, this.camera)) {
      this.touched = true;
      this.moved();
      return;
    }
    this.camera.position.copy(position);
    this.camera.quaternion.copy(rotation);
  }

  private moved(): void {
    this.lastMove = performance.now();
    this.redraw();
  }

  private rolled(): boolean {
    const right = new THREE.Vector3(1, 0, 0).applyQuaternion(this.camera.quaternion);
    return Math.abs(right.y) > 1e-3;
  }

  private clip(): void {
    this.camera.near = 1e-3 * this.radius;
    this.camera.far = 1e4 * this.radius;
    this.fly.fpsMovement.moveSpeed = 0.5 * this.radius;
    this.fly.pointerControls.slideSpeed = this.fly.pointerControls.scrollSpeed = 1e-3 * this.radius;
    this.camera.updateProjectionMatrix();
  }

  private resize(): void {
    const { clientWidth, clientHeight } = this.canvas;
    if (!clientWidth || !clientHeight || this.steer) return;
    this.renderer.setPixelRatio(Math.min(devicePixelRatio, SHARPEST));
    this.renderer.setSize(clientWidth, clientHeight, false);
    this.camera.aspect = clientWidth / clientHeight;
    this.camera.updateProjectionMatrix();
    this.redraw();
  }

  private tick(time: number): void {
    if (this.steer) {
      this.steer();
      this.dirty = true; // The head never rests.
    } else if (this.mode === "orbit") this.orbit.update();
    else this.flown();
    if (this.dirty) {
      this.dirty = false;
      this.draw();
      const apart = time - this.lastFrame;
      const rested = this.rested;
      this.lastFrame = time;
      this.rested = false;
      // The time since a frame after which nothing moved says nothing of how fast frames are.
      if (apart > 0 && apart < PAUSE) this.fps = this.fps ? 0.9 * this.fps + 100 / apart : 1000 / apart;
      else if (!rested) this.fps = 1000 / apart;
      this.onFrame?.(false);
    } else if (time - this.lastFrame > PAUSE) this.rested = true;
    if (!this.dirty && !this.stillTold && this.settled && performance.now() - this.lastMove > PAUSE) {
      this.stillTold = true;
      this.onFrame?.(true);
    }
  }

  private draw(): void {
    if (!this.comparing || this.steer) {
      this.renderer.setScissorTest(false);
      this.renderer.render(this.a.scene, this.camera);
      return;
    }
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const left = Math.round(this.split * width);
    this.renderer.setScissorTest(true);
    this.renderer.setScissor(0, 0, left, height);
    this.renderer.render(this.a.scene, this.camera);
    this.renderer.setScissor(left, 0, width - left, height);
    this.renderer.render(this.b!.scene, this.camera);
  }
}

/** From a scene's axes to three.js's: right, up, back. A scene of the other handedness is seen mirrored. */
function turnOf(asset: Asset): THREE.Quaternion {
  const axes = asset.metadata?.axes ?? (/\.spz$/i.test(asset.name) ? "RUB" : "RDF");
  const x = axes[0] === "L" ? -1 : 1;
  const y = axes[1] === "D" ? -1 : 1;
  const basis = new THREE.Matrix4().makeBasis(
    new THREE.Vector3(x, 0, 0),
    new THREE.Vector3(0, y, 0),
    new THREE.Vector3(0, 0, x * y),
  );
  return new THREE.Quaternion().setFromRotationMatrix(basis);
}

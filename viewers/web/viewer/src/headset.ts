/** The scene in a headset, where the browser and the machine have one: WebXR, by Spark. */
import { SparkXr } from "@sparkjsdev/spark";
import * as THREE from "three";

import type { Pose, View } from "./view.js";

/** Metres from the eyes to what was orbited: scenes come in units of their own. */
const AWAY = 2;

export class Headset {
  /** Whether there is one. */
  ready = false;
  private readonly xr: SparkXr | undefined;
  /** The floor under the wearer, so to speak: sticks move it, the head moves within it. */
  private readonly rig = new THREE.Group();
  private before: Pose | undefined;

  /** changed: whether there is one, or it is worn, is new. */
  constructor(
    private readonly view: View,
    private readonly changed: () => void,
  ) {
    if (!("xr" in navigator)) return;
    this.xr = new SparkXr({
      renderer: view.renderer,
      element: document.createElement("button"), // The toolbar has its own.
      mode: "vrar",
      frameBufferScaleFactor: 1,
      onReady: (supported) => {
        this.ready = supported;
        changed();
      },
      onEnterXr: () => this.enter(),
      onExitXr: () => this.leave(),
    });
  }

  get worn(): boolean {
    return this.before !== undefined;
  }

  toggle(): void {
    if (this.ready) void this.xr?.toggleXr();
  }

  private enter(): void {
    const { view, rig } = this;
    this.before = view.pose;
    const { camera } = view;
    const scale = AWAY / Math.max(camera.position.distanceTo(new THREE.Vector3(...this.before.target)), 1e-6);
    // Upright, whichever way one looked: the head does the rest.
    const ahead = camera.getWorldDirection(new THREE.Vector3());
    rig.rotation.set(0, Math.atan2(-ahead.x, -ahead.z), 0);
    rig.position.copy(camera.position).multiplyScalar(scale);
    camera.position.set(0, 0, 0);
    camera.quaternion.identity();
    camera.near = 0.02;
    camera.far = 1000;
    rig.add(camera);
    view.wear(rig, scale, () => this.xr?.updateControllers(camera));
    this.changed();
  }

  private leave(): void {
    if (!this.before) return;
    this.rig.remove(this.view.camera);
    this.view.takeOff(this.rig);
    this.view.pose = this.before;
    this.before = undefined;
    this.changed();
  }
}

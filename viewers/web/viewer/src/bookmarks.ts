/** Places to come back to, kept by the browser for each scene; two and more make a flight. */
import * as THREE from "three";

import type { Pose } from "./view.js";

/** Seconds of a flight from one place to the next. */
const LEG = 2;

export class Bookmarks {
  /** Those of the user, which are kept. */
  private poses: Pose[] = [];
  /** Those that came with a scene. */
  private offered: readonly Pose[] = [];

  constructor(private readonly key: string) {
    try {
      const kept: unknown = JSON.parse(localStorage.getItem(key) ?? "[]");
      if (Array.isArray(kept)) this.poses = kept.filter(isPose);
    } catch {
      // Without storage, or with somebody else's text in it, there are none.
    }
  }

  get all(): readonly Pose[] {
    return [...this.offered, ...this.poses];
  }

  add(pose: Pose): void {
    this.poses.push(pose);
    this.keep();
  }

  clear(): void {
    this.poses = [];
    this.keep();
  }

  /** Places that come with a scene: first in the row, and never forgotten. */
  offer(poses: readonly Pose[]): void {
    this.offered = poses;
  }

  /** How many of them are the user's own. */
  get own(): number {
    return this.poses.length;
  }

  /** Seconds of the flight along all places. */
  get duration(): number {
    return LEG * Math.max(0, this.all.length - 1);
  }

  at(time: number): Pose {
    const { all } = this;
    const last = all.length - 1;
    const leg = Math.min(Math.floor(time / LEG), Math.max(last - 1, 0));
    const from = all[leg]!;
    const to = all[Math.min(leg + 1, last)]!;
    const share = Math.min(Math.max(time / LEG - leg, 0), 1);
    return between(from, to, share * share * (3 - 2 * share));
  }

  private keep(): void {
    try {
      localStorage.setItem(this.key, JSON.stringify(this.poses));
    } catch {
      // They last as long as the page, then.
    }
  }
}

export function isPose(value: unknown): value is Pose {
  const pose = value as Pose | null;
  const numbers = (list: unknown, length: number) => Array.isArray(list) && list.length === length && list.every(Number.isFinite);
  return typeof pose === "object" && pose !== null && numbers(pose.matrix, 16) && numbers(pose.target, 3) && pose.fov > 0 && pose.fov < 180;
}

function between(a: Pose, b: Pose, share: number): Pose {
  const parts = [a, b].map((pose) => {
    const position = new THREE.Vector3(), rotation = new THREE.Quaternion(), scale = new THREE.Vector3();
    new THREE.Matrix4().fromArray(pose.matrix).decompose(position, rotation, scale);
    return { position, rotation, scale };
  });
  const [from, to] = parts as [(typeof parts)[0], (typeof parts)[0]];
  const matrix = new THREE.Matrix4().compose(
    from.position.lerp(to.position, share),
    from.rotation.slerp(to.rotation, share),
    new THREE.Vector3(1, 1, 1),
  );
  const target = a.target.map((value, axis) => value + share * (b.target[axis]! - value)) as [number, number, number];
  return { matrix: matrix.toArray(), target, fov: a.fov + share * (b.fov - a.fov) };
}

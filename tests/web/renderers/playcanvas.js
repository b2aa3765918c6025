// The scene in PlayCanvas's engine.
import * as pc from "playcanvas";

export async function start(url, antialiased) {
  const canvas = document.getElementById("canvas");
  const device = await pc.createGraphicsDevice(canvas, { deviceTypes: ["webgl2"], antialias: false, preserveDrawingBuffer: true });
  device.maxPixelRatio = 1;
  const options = new pc.AppOptions();
  options.graphicsDevice = device;
  options.componentSystems = [pc.CameraComponentSystem, pc.GSplatComponentSystem];
  options.resourceHandlers = [pc.GSplatHandler];
  const app = new pc.AppBase(canvas);
  app.init(options);
  app.setCanvasFillMode(pc.FILLMODE_NONE, 400, 400);
  app.setCanvasResolution(pc.RESOLUTION_FIXED, 400, 400);
  app.autoRender = false;
  app.start();
  const begun = performance.now();
  const asset = new pc.Asset("scene", "gsplat", { url });
  app.assets.add(asset);
  await new Promise((resolve, reject) => {
    asset.ready(resolve);
    asset.on("error", reject);
    app.assets.load(asset);
  });
  const loaded = performance.now() - begun;
  const entity = new pc.Entity();
  entity.addComponent("gsplat", { asset });
  app.root.addChild(entity);
  const eye = new pc.Entity();
  eye.addComponent("camera", { clearColor: new pc.Color(0, 0, 0), nearClip: 0.05, farClip: 1000, toneMapping: pc.TONEMAP_LINEAR, gammaCorrection: pc.GAMMA_SRGB });
  app.root.addChild(eye);
  let sorted = 0;
  return {
    loaded,
    version: `PlayCanvas ${pc.version}`,
    look(matrix, fov) {
      const m = new pc.Mat4();
      m.data.set(matrix);
      eye.setPosition(m.getTranslation());
      eye.setRotation(new pc.Quat().setFromMat4(m));
      eye.camera.fov = fov;
      sorted = performance.now();
    },
    draw() { app.renderNextFrame = true; },
    settled: () => performance.now() - sorted > 1500,
    finish: () => device.gl.finish(),
  };
}

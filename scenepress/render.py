"""Images of splats: the blending of 3D Gaussian splatting, as gsplat 1.5 does it."""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import importlib.util
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from scenepress.kernels import raster
from scenepress.scene import Camera, Splats

if TYPE_CHECKING:
    from torch import Tensor

Backend = Literal["auto", "cpu", "portable", "reference", "cuda", "gsplat"]
"""cpu: the fastest loops of this machine. portable: the same without special instructions. reference:
NumPy in float64, very slow. cuda and gsplat need a GPU. auto: the faster of cuda and cpu."""

TrainingBackend = Literal["auto", "cpu", "cuda", "gsplat"]
"""What renders and gives gradients for training. auto: the first of cuda, gsplat and cpu that can run here."""

MAX_SIDE = 32768
"""Pixels: images may not be wider or higher."""


@dataclasses.dataclass(frozen=True)
class Image:
    """A rendered view."""

    color: NDArray[np.float32]
    """float32 [H, W, 3]: r, g, b over the background, display colours, may exceed 1."""
    alpha: NDArray[np.float32]
    """float32 [H, W]: 1 where the splats hide the background, 0 where nothing was drawn."""


def rasterize(
    splats: Splats,
    camera: Camera,
    *,
    background: Sequence[float] = (0.0, 0.0, 0.0),
    backend: Backend = "auto",
) -> Image:
    """Render one view.

    Splats that are not finite (any NaN; an infinity anywhere but in the opacity logit; a quaternion of
    length zero) are left out. The camera is in the scene's own axes: `splats.axes` plays no part.

    Args:
        splats: the scene.
        camera: where from; at most 32768 pixels a side.
        background: r, g, b behind the scene.
        backend: see Backend. All but rounding gives the same pixels.

    Raises:
        ValueError: a camera or background that makes no sense, or a backend that cannot run here.
        RuntimeError: the GPU ran out of memory, or failed otherwise.
    """
    rear = _background(background)
    scene = raster_input(splats, camera)
    name = _fastest() if backend == "auto" else backend
    if name == "gsplat":
        view = _GsplatFrame(scene, rear, keep=False)
        return Image(view.color, view.alpha)
    if name not in raster.BACKENDS:
        raise ValueError(f"backend {name!r} cannot run here; have {', '.join(raster.BACKENDS)}")
    return Image(*raster.BACKENDS[name](scene, rear))


@dataclasses.dataclass(frozen=True)
class SplatGradients:
    """Derivatives of a loss with respect to the arrays of a scene, float32, of their shapes."""

    means: NDArray[np.float32]
    """[N, 3], per scene unit."""
    quats: NDArray[np.float32]
    """[N, 4], of quaternions as they are: orthogonal to them, since their length does not matter."""
    log_scales: NDArray[np.float32]
    """[N, 3]."""
    opacity_logits: NDArray[np.float32]
    """[N]."""
    sh0: NDArray[np.float32]
    """[N, 3]."""
    shN: NDArray[np.float32]
    """[N, K, 3]."""
    centers: NDArray[np.float32]
    """[N, 2], with respect to the centre on the image, per pixel."""


@dataclasses.dataclass(frozen=True)
class Frame:
    """A rendered view that can be differentiated; keeps the arrays of its scene, which must not change."""

    image: Image
    _frame: raster.Frame

    def backward(
        self, by_color: NDArray[np.floating], by_alpha: NDArray[np.floating] | None = None
    ) -> SplatGradients:
        """Derivatives of a loss with respect to the scene. Does not depend on the number of threads.

        Splats that were not drawn get zeros. Where the image jumps (a splat comes to touch a pixel, or a pixel is
        finished one splat earlier) the jump is not counted, as in every 3DGS renderer.

        Args:
            by_color: [H, W, 3], derivatives of the loss with respect to image.color.
            by_alpha: [H, W], with respect to image.alpha; None for zeros.

        Raises:
            ValueError: shapes other than the image's.
        """
        alpha = np.zeros_like(self.image.alpha) if by_alpha is None else by_alpha
        color = np.ascontiguousarray(by_color, np.float32)
        if color.shape != self.image.color.shape or alpha.shape != self.image.alpha.shape:
            raise ValueError(f"derivatives {color.shape} and {alpha.shape} of an image {self.image.color.shape}")
        return SplatGradients(*self._frame.backward(color, np.ascontiguousarray(alpha, np.float32)))


def differentiable(
    splats: Splats,
    camera: Camera,
    *,
    background: Sequence[float] = (0.0, 0.0, 0.0),
    backend: Literal["auto", "cpu", "portable", "cuda", "gsplat"] = "auto",
) -> Frame:
    """Render one view as rasterize() does, and keep what its gradient needs.

    backend: as for rasterize().

    Raises:
        ValueError: as rasterize().
        MemoryError: splats that touch more than 32 million tiles together.
    """
    rear = _background(background)
    name = _fastest() if backend == "auto" else backend
    if name == "gsplat":
        view = _GsplatFrame(raster_input(splats, camera), rear, keep=True)
        return Frame(Image(view.color, view.alpha), view)
    if name not in raster.FRAMES:
        raise ValueError(f"backend {name!r} cannot differentiate here; have {', '.join(raster.FRAMES)}")
    frame = raster.FRAMES[name](raster_input(splats, camera), rear)
    return Frame(Image(frame.color, frame.alpha), frame)


def training_backend(wanted: TrainingBackend = "auto") -> Literal["cpu", "cuda", "gsplat"]:
    """The backend that a choice for training means on this machine.

    Raises:
        ValueError: it cannot run here; the message says what it needs.
    """
    if wanted != "auto":
        _require(wanted)
        return wanted
    # cuda before gsplat: its gradients are the same every time, and nothing has to be loaded or compiled first.
    if not missing_for("cuda"):
        return "cuda"
    return "gsplat" if _driver_here() and not missing_for("gsplat") else "cpu"


def missing_for(backend: Literal["cpu", "cuda", "gsplat"]) -> str:
    """What a backend would need to differentiate here, as "a CUDA device"; empty if it can."""
    if backend == "gsplat":
        return _missing_for_gsplat()
    if backend in raster.FRAMES:
        return ""
    module = {"cpu": "_native", "cuda": "_native_cuda"}[backend]
    if importlib.util.find_spec(f"scenepress.kernels.{module}"):
        return "a CUDA device, and none can be used here"
    return f"the {backend.upper()} module, which this installation was built without"


def _missing_for_gsplat() -> str:
    try:
        import gsplat  # noqa: F401
        import torch
    except ImportError as error:
        return f"the extra scenepress[gsplat]: {error}"
    if not torch.cuda.is_available():
        return "a CUDA device, and torch finds none"
    try:
        # Compiles its kernels if that was not done yet, and tells of it on stdout.
        with contextlib.redirect_stdout(sys.stderr):
            from gsplat.cuda import _backend
    except ImportError:  # Of a version that has its kernels elsewhere.
        return ""
    except RuntimeError as error:
        return f"kernels that cannot be compiled here: {next(iter(str(error).splitlines()), 'unknown')}"
    return "" if _backend._C is not None else "its kernels, or the CUDA toolkit to compile them"


def _driver_here() -> bool:
    """Whether there may be a device at all. torch knows better, but takes seconds to load."""
    for name in ("libcuda.so.1", "nvcuda.dll"):
        with contextlib.suppress(OSError):
            ctypes.CDLL(name)
            return True
    return False


def _require(backend: Literal["cpu", "cuda", "gsplat"]) -> None:
    if missing := missing_for(backend):
        raise ValueError(f"backend {backend!r} needs {missing}")


def _background(color: Sequence[float]) -> NDArray[np.float32]:
    rear = np.asarray(color, np.float32)
    if rear.shape != (3,) or not np.isfinite(rear).all():
        raise ValueError(f"background must be 3 finite numbers, got {color!r}")
    return rear


def raster_input(splats: Splats, camera: Camera) -> raster.RasterInput:
    """What the kernels take. Raises ValueError for a camera that makes no sense."""
    view = np.ascontiguousarray(camera.world_to_camera, np.float64)
    if view.shape != (4, 4) or not np.isfinite(view).all():
        raise ValueError("world_to_camera must be a finite 4x4 matrix")
    turn = view[:3, :3]
    if np.abs(turn @ turn.T - np.eye(3)).max() > 1e-3:
        raise ValueError("world_to_camera must be rigid: its rotation part is not orthonormal")
    intrinsics = np.array([camera.fx, camera.fy, camera.cx, camera.cy], np.float64)
    if not np.isfinite(intrinsics).all() or min(camera.fx, camera.fy) <= 0:
        raise ValueError(f"fx, fy must be positive and fx, fy, cx, cy finite, got {intrinsics}")
    if not (1 <= camera.width <= MAX_SIDE and 1 <= camera.height <= MAX_SIDE):
        size = f"{camera.width}x{camera.height}"
        raise ValueError(f"images have 1 to {MAX_SIDE} pixels a side, got {size}")
    return raster.RasterInput(
        means=np.ascontiguousarray(splats.means),
        quats=np.ascontiguousarray(splats.quats),
        log_scales=np.ascontiguousarray(splats.log_scales),
        opacity_logits=np.ascontiguousarray(splats.opacity_logits),
        sh0=np.ascontiguousarray(splats.sh0),
        shN=np.ascontiguousarray(splats.shN),
        antialiased=splats.antialiased,
        view=view,
        intrinsics=intrinsics,
        width=camera.width,
        height=camera.height,
    )


def _fastest() -> str:
    return next(name for name in ("cuda", "cpu", "reference") if name in raster.BACKENDS)


class _GsplatFrame:
    """A view by gsplat.rasterization, on a device. Splats that are not finite are dropped first."""

    def __init__(self, scene: raster.RasterInput, background: NDArray[np.float32], *, keep: bool) -> None:
        """keep: whether backward() will be called."""
        gsplat, torch = _gsplat_here()
        sound = ~np.isnan(scene.opacity_logits) & (np.linalg.norm(scene.quats, axis=1) > 0)
        for array in (scene.means, scene.quats, scene.log_scales, scene.sh0, scene.shN):
            sound &= np.isfinite(array).all(axis=tuple(range(1, array.ndim)))
        self._rows, self._count = np.flatnonzero(sound), len(sound)

        def on_device(array: NDArray[np.floating], leaf: bool = False) -> Tensor:
            tensor: Tensor = torch.from_numpy(array.astype(np.float32)).cuda()
            return tensor.requires_grad_(leaf and keep)

        arrays = (scene.means, scene.quats, scene.log_scales, scene.opacity_logits, scene.sh0, scene.shN)
        self._leaves = [on_device(array[self._rows], leaf=True) for array in arrays]
        means, quats, log_scales, logits, sh0, shN = self._leaves
        fx, fy, cx, cy = scene.intrinsics
        with torch.set_grad_enabled(keep):
            color, alpha, meta = gsplat.rasterization(
                means=means,
                quats=quats,
                scales=log_scales.exp(),
                opacities=logits.sigmoid(),
                colors=torch.cat([sh0[:, None], shN], dim=1),
                viewmats=on_device(scene.view[None]),
                Ks=on_device(np.array([[[fx, 0, cx], [0, fy, cy], [0, 0, 1]]])),
                width=scene.width,
                height=scene.height,
                sh_degree=int(np.sqrt(1 + shN.shape[1])) - 1,
                rasterize_mode="antialiased" if scene.antialiased else "classic",
                backgrounds=on_device(background[None]),
                packed=False,
            )
        self._images, self._centers = (color[0], alpha[0, ..., 0]), meta["means2d"]
        if keep and self._centers.requires_grad:
            self._centers.retain_grad()
        self.color, self.alpha = (image.detach().cpu().numpy() for image in self._images)

    def backward(self, by_color: NDArray[np.float32], by_alpha: NDArray[np.float32]) -> raster.Gradients:
        """As raster.Frame."""
        import torch

        for tensor in (*self._leaves, self._centers):
            tensor.grad = None
        wanted = [torch.from_numpy(array).to(self._images[0].device) for array in (by_color, by_alpha)]
        if self._images[0].requires_grad:  # Not where nothing was drawn.
            torch.autograd.backward(list(self._images), wanted, retain_graph=True)
        shapes = [(self._count, *tensor.shape[1:]) for tensor in self._leaves] + [(self._count, 2)]
        found = []
        for tensor, shape in zip((*self._leaves, self._centers), shapes, strict=True):
            full = np.zeros(shape, np.float32)
            if tensor.grad is not None:
                full[self._rows] = tensor.grad.cpu().numpy().reshape(len(self._rows), *shape[1:])
            found.append(full)
        means, quats, log_scales, logits, sh0, shN, centers = found
        return means, quats, log_scales, logits, sh0, shN, centers


def _gsplat_here() -> tuple[ModuleType, ModuleType]:
    """gsplat and torch. Raises ValueError where they cannot work."""
    _require("gsplat")
    import gsplat
    import torch

    return gsplat, torch

"""From encodings of a scene to a report on them: render, measure, collect."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from scenepress.inspection import describe_press
from scenepress.quality import Background, Image, Progress, compare
from scenepress.report import RatePoint, Report, ViewImages
from scenepress.scene import Camera, Splats

SHOWN_VIEWS = 6
"""Views whose images go into the page; all views are measured."""


@dataclasses.dataclass(frozen=True)
class Encoding:
    """One file made of the scene, and what it decodes to."""

    label: str
    """A preset's name, or a peer format."""
    data: bytes
    """The whole file."""
    decoded: Splats
    """The scene it holds."""
    encode_seconds: float | None = None
    """Wall-clock time; None if not measured."""
    decode_seconds: float | None = None
    """Wall-clock time; None if not measured."""
    peer: bool = False
    """True for a format other than .press."""


def build(
    title: str,
    source: Splats,
    source_bytes: int,
    encodings: Sequence[Encoding],
    cameras: Sequence[Camera],
    *,
    cameras_note: str,
    background: Background | None = None,
    producer: str = "scenepress",
    progress: Progress | None = None,
) -> Report:
    """Measure every encoding against the source over all cameras.

    Args:
        title: the source file's name.
        source: the scene that all encodings were made of.
        source_bytes: size of its file.
        encodings: at least one; the first is the subject of the page.
        cameras: at least one, in the axes of `source`.
        cameras_note: a sentence on where they come from.
        background: r, g, b in [0, 1] behind the splats. None: numbers are means over black and white, pictures
            are over black.
        producer: program and version, for the footer.
        progress: told how far the work is.
    """
    shown: list[ViewImages] = []
    points = []
    for k, encoding in enumerate(encodings):
        quality = compare(
            source,
            encoding.decoded,
            cameras,
            background=background,
            progress=_part(progress, k, len(encodings)),
            on_view=_keep_in(shown) if k == 0 else None,
        )
        if k == 0:  # Cameras without a name go by the number that the measurements use.
            names = [view.name for view in quality.views]
            shown = [dataclasses.replace(v, name=n) for v, n in zip(shown, names, strict=False)]
        points.append(
            RatePoint(
                label=encoding.label,
                bytes=len(encoding.data),
                quality=quality,
                encode_seconds=encoding.encode_seconds,
                decode_seconds=encoding.decode_seconds,
                peer=encoding.peer,
            )
        )
    return Report(
        title=title,
        source_bytes=source_bytes,
        splats=len(source),
        sh_degree=source.sh_degree,
        cameras=cameras_note,
        points=tuple(points),
        rates=() if encodings[0].peer else describe_press(encodings[0].data).rates,
        images=tuple(shown),
        producer=producer,
    )


def _part(progress: Progress | None, part: int, parts: int) -> Progress | None:
    """`progress` of the whole, told by one of its equal parts."""
    return None if progress is None else lambda what, done: progress(what, (part + done) / parts)


def _keep_in(shown: list[ViewImages]) -> Callable[[Camera, Image, Image], None]:
    """Puts the first SHOWN_VIEWS renders into `shown`."""

    def keep(camera: Camera, reference: Image, test: Image) -> None:
        if len(shown) < SHOWN_VIEWS:
            shown.append(ViewImages(camera.name, reference, test))

    return keep

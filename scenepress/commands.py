"""What the command line's commands do: library calls, and what to print about them."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from scenepress import __version__, api, cli, quality, report
from scenepress.cli import UsageError
from scenepress.errors import FormatError
from scenepress.files import readable_size, write_whole
from scenepress.inspection import Inspection, Rate, by_stage, file_size
from scenepress.quality import Json
from scenepress.report.build import Encoding, build
from scenepress.scene import Camera, Splats

BACKGROUNDS = {"black": (0.0, 0.0, 0.0), "white": (1.0, 1.0, 1.0), "grey": (0.5, 0.5, 0.5)}
COMPARE_VIEWS, COMPARE_WIDTH, RENDER_WIDTH = 8, 400, 800
MAX_VIEWS, MAX_WIDTH = 10_000, 16_384
IMAGE_FORMATS = {".png": "PNG", ".webp": "WEBP", ".jpg": "JPEG", ".jpeg": "JPEG"}


def run(command: cli.Command) -> None:
    """Do what was asked.

    Raises:
        UsageError: the arguments contradict each other or name what does not exist.
        BitstreamError, FormatError, OSError: as the library raises them.
    """
    match command:
        case cli.Compress():
            compress(command)
        case cli.Decompress():
            decompress(command)
        case cli.Convert():
            convert(command)
        case cli.Inspect():
            inspect(command)
        case cli.Compare():
            compare(command)
        case cli.Render():
            render(command)


def compress(command: cli.Compress) -> None:
    """Compress, measure, write; then say what came out."""
    _require_other_file(command.source, command.output)
    if command.report:
        _require_other_file(command.source, command.report)
        if command.report.suffix.lower() == ".json":
            raise UsageError("--report FILE must not end in .json: that is where its twin goes")
    scene = _load(command.source, command.drop_invalid, refuse=command.preset != "lossless")
    cameras = _cameras(command.cameras, scene) if command.cameras else None
    with _progress() as progress:
        start = time.perf_counter()
        data = api.compress(
            scene,
            command.preset,
            cameras=cameras,
            keep_order=command.keep_order,
            source=command.source,
            measure=False,
            progress=progress,
        )
        encode_seconds = time.perf_counter() - start
    start = time.perf_counter()
    decoded = api.decompress(data)
    decode_seconds = time.perf_counter() - start
    record = None
    if len(scene):
        with _progress() as progress:
            record = api.measure_quality(scene, decoded, cameras, progress)
        data = api.with_quality(data, record)
    write_whole(command.output, data)

    bytes_in = file_size(command.source)
    values: dict[str, Json] = {
        "source": str(command.source),
        "output": str(command.output),
        "preset": command.preset,
        "splats": len(scene),
        "bytes_in": bytes_in,
        "bytes_out": len(data),
        "ratio": bytes_in / len(data),
        "bytes_per_splat": len(data) / len(scene) if len(scene) else None,
        "encode_seconds": encode_seconds,
        "decode_seconds": decode_seconds,
        "psnr": quality.finite(record.psnr) if record else None,
        "ssim": record.ssim if record else None,
        "views": record.views if record else 0,
        "cameras": record.cameras if record else None,
        "report": str(command.report) if command.report else None,
    }
    if command.report:
        encoding = Encoding(command.preset, data, decoded, encode_seconds, decode_seconds)
        _write_report(command, scene, encoding, cameras)
    if command.as_json:
        _print_json(values)
        return
    ratio = f"{bytes_in / len(data):.1f} times smaller"
    rows = [("size", f"{readable_size(bytes_in)} -> {readable_size(len(data))}, {ratio}")]
    if len(scene):
        rows.append(("rate", f"{len(data) / len(scene):.2f} bytes per splat, {len(scene):,} splats"))
    if record:
        rows.append(("quality", _quality_text(record.psnr, record.ssim, record.views, record.cameras)))
    rows.append(("encode", _speed(len(scene), encode_seconds)))
    rows.append(("decode", _speed(len(scene), decode_seconds)))
    if command.report:
        rows.append(("report", str(command.report)))
    _print_rows(f"{command.output} ({command.preset})", rows)


def decompress(command: cli.Decompress) -> None:
    """Decode and write."""
    from scenepress.formats import table

    _require_other_file(command.source, command.output)
    _require_writable(command.output)
    if command.levels is not None and command.levels < 1:
        raise UsageError(f"--levels {command.levels}: at least 1")
    scene = api.decompress(
        command.source.read_bytes(), levels=command.levels, allow_truncated=command.allow_truncated
    )
    table.write(scene, command.output)


def convert(command: cli.Convert) -> None:
    """Read and write."""
    from scenepress.formats import table

    _require_other_file(command.source, command.output)
    _require_writable(command.output)
    table.write(_load(command.source, command.drop_invalid), command.output)


def inspect(command: cli.Inspect) -> None:
    """Say what a file holds."""
    found = api.inspect(command.source)
    if command.as_json:
        _print_json(inspection_as_json(found))
        return
    rows = [
        ("size", readable_size(found.bytes)),
        ("splats", f"{found.count:,}"),
        ("SH degree", str(found.sh_degree)),
        ("axes", found.axes),
        ("antialiased", "yes" if found.antialiased else "no"),
        ("invalid", f"{found.invalid:,} splats"),
    ]
    if found.lower and found.upper:
        rows.append(("lower", "  ".join(f"{value:.6g}" for value in found.lower)))
        rows.append(("upper", "  ".join(f"{value:.6g}" for value in found.upper)))
    if found.press:
        info = found.press.metadata
        major, minor = found.press.version
        makers = (info.encoder, info.preset, f"format {major}.{minor}")
        rows.append(("made by", ", ".join(filter(None, makers))))
        if info.source_name:
            rows.append(("made from", info.source_name))
        rows.append(("structure", f"{found.press.levels} levels, {found.press.tiles} tiles"))
        if info.quality:
            q = info.quality
            rows.append(("quality", _quality_text(q.psnr, q.ssim, q.views, q.cameras)))
    _print_rows(found.path, rows)
    if found.press:
        _print_rates(found.press.rates, found.count)


def compare(command: cli.Compare) -> None:
    """Render both scenes and print how far apart they are."""
    _require_range("--views", command.views, MAX_VIEWS)
    _require_range("--size", command.size, MAX_WIDTH)
    a, b = _load(command.a), _load(command.b)
    if not len(a):
        raise FormatError(f"{command.a}: an empty scene is no reference to compare with")
    if command.cameras:
        cameras = _cameras(command.cameras, a, command.size)
        cameras = api.choose(cameras, command.views or len(cameras))
    else:
        from scenepress.cameras import synthesize

        cameras = list(synthesize(a, command.views or COMPARE_VIEWS, command.size or COMPARE_WIDTH))
    background = BACKGROUNDS[command.background]
    with _progress() as progress:
        result = quality.compare(a, b, cameras, background=background, progress=progress)
    bytes_a, bytes_b = file_size(command.a), file_size(command.b)
    if command.as_json:
        counts: dict[str, Json] = {"splats_a": len(a), "splats_b": len(b)}
        sizes: dict[str, Json] = {"bytes_a": bytes_a, "bytes_b": bytes_b, "ratio": bytes_a / bytes_b}
        _print_json({"a": str(command.a), "b": str(command.b), **sizes, **counts, **result.as_json()})
        return
    rows = [
        (
            "size",
            f"{readable_size(bytes_a)} and {readable_size(bytes_b)}, ratio {bytes_a / bytes_b:.2f}",
        ),
        ("splats", f"{len(a):,} and {len(b):,}"),
        ("PSNR", f"{_decibels(result.psnr)} (mean of the views' {_decibels(result.mean_view_psnr)})"),
        ("SSIM", f"{result.ssim:.5f}"),
    ]
    for name, value in (
        ("MS-SSIM", result.ms_ssim),
        ("FLIP", result.flip),
        ("SSIMULACRA2", result.ssimulacra2),
        ("LPIPS", result.lpips),
    ):
        if value is not None:
            rows.append((name, f"{value:.5f}" if name != "SSIMULACRA2" else f"{value:.2f}"))
    kind = f"from {command.cameras}" if command.cameras else "made up from A"
    rows.append(("views", f"{len(cameras)} {kind}, {cameras[0].width} x {cameras[0].height} pixels"))
    _print_rows(f"{command.b} against {command.a}", rows)


def render(command: cli.Render) -> None:
    """Render one view to an image file."""
    import io

    import PIL.Image

    from scenepress.render import rasterize

    kind = IMAGE_FORMATS.get(command.output.suffix.lower())
    if kind is None:
        raise UsageError(f"{command.output}: images are written as {', '.join(IMAGE_FORMATS)}")
    _require_other_file(command.source, command.output)
    _require_range("--size", command.size, MAX_WIDTH)
    scene = _load(command.source)
    image = rasterize(scene, _camera(command, scene), background=BACKGROUNDS[command.background])
    buffer = io.BytesIO()
    options = {"lossless": True} if kind == "WEBP" else {"quality": 95} if kind == "JPEG" else {}
    PIL.Image.fromarray(quality.to_8bit(image.color)).save(buffer, kind, **options)
    write_whole(command.output, buffer.getvalue())


def inspection_as_json(found: Inspection) -> dict[str, Json]:
    """An inspection as plain JSON values; "press" is null for other formats."""
    values: dict[str, Json] = dataclasses.asdict(found)
    if found.press:
        info = dataclasses.asdict(found.press.metadata)
        if found.press.metadata.quality:
            info["quality"]["psnr"] = quality.finite(found.press.metadata.quality.psnr)
        values["press"] = {**dataclasses.asdict(found.press), "metadata": info}
    return values


def _load(path: Path, drop_invalid: bool = False, *, refuse: bool = False) -> Splats:
    """Read a scene, and drop, refuse or at least say what is wrong with it."""
    from scenepress import scene_ops

    scene = api.load(path)
    found = scene_ops.audit(scene)
    if not found.invalid:
        return scene
    if not drop_invalid:
        if refuse:
            raise FormatError(
                f"{path}: {found}; --drop-invalid leaves them out, --preset lossless keeps them"
            )
        cli.warn(f"{path}: {found}")
        return scene
    cli.warn(f"{path}: {found}; left out")
    return scene_ops.drop_invalid(scene)


def _cameras(path: Path, scene: Splats, width: int | None = None) -> list[Camera]:
    """The cameras of a file, in the axes of the scene."""
    from scenepress.cameras import read_cameras

    cameras = list(read_cameras(path, width))
    if not cameras:
        raise FormatError(f"{path}: holds no camera")
    return [api.camera_in_axes(camera, scene.axes) for camera in cameras]


def _camera(command: cli.Render, scene: Splats) -> Camera:
    """The camera that `render` was told, or the first one made up from the scene."""
    from scenepress.cameras import synthesize

    if command.camera is None:
        if not len(scene):
            raise FormatError(f"{command.source}: an empty scene shows nothing without --camera")
        return next(iter(synthesize(scene, 1, command.size or RENDER_WIDTH)))
    file, view = command.camera, ""
    if not os.path.exists(file) and ":" in file:
        file, view = file.rsplit(":", 1)
    cameras = _cameras(Path(file), scene, command.size)
    names = [camera.name for camera in cameras]
    if view in names:
        return cameras[names.index(view)]
    if view and not (view.isdecimal() and int(view) < len(cameras)):
        raise UsageError(f"--camera: {file} has no view {view!r}; it has {len(cameras)}, from 0 on")
    return cameras[int(view or 0)]


def _write_report(
    command: cli.Compress,
    scene: Splats,
    encoding: Encoding,
    cameras: Sequence[Camera] | None,
) -> None:
    from scenepress.cameras import synthesize

    if not len(scene) or command.report is None:
        raise UsageError("--report: there is nothing to show of an empty scene")
    chosen = list(cameras or synthesize(scene, COMPARE_VIEWS, COMPARE_WIDTH))
    chosen = api.choose(chosen, COMPARE_VIEWS)
    origin = f"from {command.cameras.name}" if command.cameras else "made up from the scene"
    with _progress() as progress:
        page = build(
            command.source.name,
            scene,
            file_size(command.source),
            [encoding],
            chosen,
            cameras_note=f"{len(chosen)} views {origin}, {chosen[0].width} pixels wide.",
            background=BACKGROUNDS[command.background],
            producer=f"scenepress {__version__}",
            progress=progress,
        )
    report.write(page, command.report)


def _require_other_file(source: Path, output: Path) -> None:
    if os.path.realpath(source) == os.path.realpath(output):
        raise UsageError(f"{output} is the input: name another output")


def _require_writable(output: Path) -> None:
    """Refuse an unknown suffix before the work rather than after it."""
    from scenepress.formats import table

    if output.suffix.lower() == ".press":
        raise UsageError(f"{output}: .press files are written by `scenepress compress`")
    found = table.by_suffix(output)
    if found is None or found.write is None:
        known = ", ".join(suffix for f in table.FORMATS if f.write for suffix in f.suffixes)
        raise UsageError(f"{output}: cannot write this file type; known are {known}")


def _require_range(option: str, value: int | None, most: int) -> None:
    if value is not None and not 1 <= value <= most:
        raise UsageError(f"{option} {value}: must be in 1..{most}")


@contextlib.contextmanager
def _progress() -> Iterator[quality.Progress]:
    """A bar on a terminal's stderr, shown only once the work has taken 2 seconds."""
    from tqdm import tqdm

    layout = "{desc}: {percentage:3.0f} %|{bar}| {elapsed}, {remaining} to go"
    with tqdm(total=1.0, delay=2, disable=None, leave=False, bar_format=layout) as bar:

        def show(what: str, done: float) -> None:
            bar.set_description_str(what, refresh=False)
            bar.update(max(0.0, done - bar.n))

        yield show


def _print_json(values: dict[str, Json]) -> None:
    print(json.dumps(values, indent=2, allow_nan=False))


def _print_rows(title: str, rows: Sequence[tuple[str, str]]) -> None:
    width = max(len(name) for name, _ in rows)
    print(title, *(f"  {name:{width}}  {value}" for name, value in rows), sep="\n")


def _print_rates(rates: Sequence[Rate], splats: int) -> None:
    """Bytes by stage, then by level."""
    total = sum(rate.bytes for rate in rates)
    totals = by_stage(rates)
    width = max(map(len, totals))
    print("  stage")
    for stage, count in totals.items():
        share = f"{100 * count / total:5.1f} %  {count / max(1, splats):7.3f} B/splat"
        print(f"    {stage:{width}}  {readable_size(count):>8}  {share}")
    levels = sorted({rate.level for rate in rates if rate.level is not None})
    if levels:
        print("  level")
    for level in levels:
        count = sum(rate.bytes for rate in rates if rate.level == level)
        print(f"    {level:<{width}}  {readable_size(count):>8}  {100 * count / total:5.1f} %")


def _quality_text(psnr: float, ssim: float, views: int, cameras: str) -> str:
    return f"PSNR {_decibels(psnr)}, SSIM {ssim:.4f}, over {views} views ({cameras} cameras)"


def _decibels(psnr: float) -> str:
    return "infinite (equal images)" if psnr == float("inf") else f"{psnr:.2f} dB"


def _speed(splats: int, seconds: float) -> str:
    return f"{seconds:.2f} s, {splats / max(seconds, 1e-9) / 1e3:,.0f} thousand splats/s"

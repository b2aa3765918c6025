"""Turn docs/results/*.jsonl into docs/results/README.md: the newest line of every case, beside its target.

    python tests/benchmarks/summarise.py [FOLDER]

The same lines give the same page.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
Line = Mapping[str, object]


@dataclasses.dataclass(frozen=True)
class Column:
    """One column of a table."""

    title: str
    text: Callable[[Line], str]


@dataclasses.dataclass(frozen=True)
class Goal:
    """A measured number and its target, both keys of a line; lines without the target have none."""

    value: str
    target: str
    at_most: bool
    """Else at least."""
    constant: float | None = None
    """The target where lines do not hold it."""

    def of(self, line: Line) -> float | None:
        """The target of this line, if it has one."""
        return self.constant if self.constant is not None else _number(line, self.target)

    def verdict(self, line: Line) -> str:
        """ "met", or by how much it was missed; empty without a target."""
        target = self.of(line)
        if target is None:
            return ""
        value = _number(line, self.value)
        if value is None:
            return "**missed**: no file reached this PSNR"
        if value <= target if self.at_most else value >= target:
            return "met"
        by = (value / target if self.at_most else target / value if value else float("inf")) - 1
        return f"**missed** by {100 * by:.0f}%" if by < 1 else f"**missed**: {by + 1:.1f} x off"


@dataclasses.dataclass(frozen=True)
class Table:
    """The lines of one benchmark that belong together."""

    title: str
    benchmark: str
    note: str
    wanted: Callable[[Line], bool]
    keys: Sequence[str]
    """What tells cases apart: of lines that agree in these the last counts."""
    columns: Sequence[Column]
    goal: Goal | None = None


def _number(line: Line, key: str) -> float | None:
    value = line.get(key)
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def text(key: str, title: str | None = None) -> Column:
    """The value as it is."""
    return Column(title or key.replace("_", " "), lambda line: str(line.get(key, "")))


def number(key: str, title: str, digits: int, scale: float = 1.0, missing: str = "") -> Column:
    """The value times `scale`."""
    def show(line: Line) -> str:
        value = _number(line, key)
        return missing if value is None else f"{value * scale:,.{digits}f}"

    return Column(title, show)


def case(*names: str) -> Callable[[Line], bool]:
    """Lines with one of these under "case"."""
    return lambda line: line.get("case") in names


def load(line: Line) -> str:
    """Load average: other work on the machine."""
    value = _number(line, "load_average" if "load_average" in line else "load")
    return "?" if value is None else f"{value:.1f}"


LOAD = Column("load", load)
CONTEXT_PARTS = ("position", "scale", "opacity", "rotation", "color", "sh", "parameters")
PSNR = "equal"
"""For an infinite PSNR."""
SIZE = (
    text("scene"), number("sh_degree", "SH", 0), text("encoder_cameras"), text("evaluation"), text("background"),
    text("peer"),
    number("peer_bytes_per_splat", "its B/splat", 2), number("peer_psnr", "its PSNR", 2, missing=PSNR),
    number("bytes_per_splat", "B/splat", 2), number("psnr", "PSNR", 2, missing=PSNR),
    number("peer_worst_view_psnr", "its worst view", 1, missing=PSNR),
    number("worst_view_psnr", "worst view", 1, missing=PSNR), number("ratio", "ratio", 3, missing="-"),
    number("target_ratio", "target", 2, missing="-"),
)  # fmt: skip
SIZE_KEYS = ("case", "scene", "encoder_cameras", "evaluation", "peer")
RATIO = Goal("ratio", "target_ratio", at_most=True)

TABLES = (
    Table("Bytes at equal quality", "splats",
          "The smallest file found whose PSNR is no lower than the peer's, by its bytes per splat of the source, "
          "and the ratio to the peer's. B/splat and PSNR without a ratio are the best file that was found.",
          lambda d: d.get("case") == "size" and not d.get("lossy_source"), SIZE_KEYS, SIZE, RATIO),
    Table("Bytes at equal quality, sources that were quantised before", "splats",
          "Decoded from .sog, .spz or compressed.ply: their values lie on a grid already, which flatters every "
          "codec, and most of all one with the same grid, whose PSNR can be out of reach.",
          lambda d: d.get("case") == "size" and bool(d.get("lossy_source")), SIZE_KEYS, SIZE, RATIO),
    Table("The default preset", "splats", "`balanced`, against renders of the source. Bad pixels: percent of "
          "pixels with an error above 0.25.", case("preset"), ("scene", "encoder_cameras", "evaluation", "preset"),
          (text("scene"), text("encoder_cameras"), text("evaluation"), text("background"),
           number("splats", "splats", 0), number("press_splats", "kept", 0), number("bytes", "bytes", 0),
           number("bytes_per_splat", "B/splat", 2), number("psnr", "PSNR", 2),
           number("worst_view_psnr", "worst view", 2), number("bad_pixels", "bad pixels, %", 3, 100))),
    Table("Wanted sizes", "targets", "`--target-mb`, cameras made up; never above, and at least 99%. Trials "
          "quantise anew, codings also count those that only leave out splats.", case("size"),
          ("scene", "wanted_bytes"),
          (text("scene"), number("sh_degree", "SH", 0), number("wanted_bytes", "wanted bytes", 0),
           number("bytes", "bytes", 0), number("ratio", "ratio", 4), number("psnr", "PSNR", 2),
           number("trials", "trials", 0), number("codings", "codings", 0), number("encode_s", "s", 1),
           text("met", "met"))),
    Table("Wanted qualities", "targets", "`--target-psnr`, cameras made up; within 0.1 dB.", case("quality"),
          ("scene", "wanted_psnr"),
          (text("scene"), number("wanted_psnr", "wanted dB", 1), number("psnr", "PSNR", 3),
           number("bytes", "bytes", 0), number("trials", "trials", 0), number("codings", "codings", 0),
           number("encode_s", "s", 1), text("met", "met"))),
    Table("Pruning", "targets", "Without training, over the training views (made-up ones where there are none); "
          "PSNR against renders of the source and held-out photographs.",
          case("pruning"), ("scene", "method", "share"),
          (text("scene"), text("method"), number("share", "kept", 1), number("merged", "merged", 0),
           number("renders_psnr", "PSNR to renders", 2), number("photo_psnr", "PSNR before", 2),
           number("pruned_psnr", "after", 2), number("loss_db", "loss, dB", 3),
           number("target_db", "target", 1)), Goal("loss_db", "target_db", at_most=True)),
    Table("Compression against photographs", "targets", "Without training; `--target-mb` of a share of the raw "
          ".ply, the training views given as cameras. PSNR against held-out photographs, and of renders.",
          case("photographs"), ("scene", "share"),
          (text("scene"), number("share", "1 /", 0), number("bytes", "bytes", 0), number("kept", "splats kept", 0),
           number("renders_psnr", "PSNR to renders", 2), number("photo_psnr", "PSNR before", 2),
           number("coded_psnr", "after", 2), number("loss_db", "loss, dB", 3), number("target_db", "target", 1)),
          Goal("loss_db", "target_db", at_most=True)),
    Table("Distillation", "distillation", "`compress --distill` with `--target-mb` of a share of the raw .ply, "
          "from the scene's own renders near the training views or from their photographs, beside the same size "
          "without. PSNR against held-out photographs; loss against the whole scene.", case("distillation"),
          ("scene", "share", "teacher"),
          (text("scene"), number("share", "1 /", 0), text("teacher"), number("steps", "steps", 0),
           number("distilled_bytes", "bytes", 0), number("plain_splats", "splats without", 0),
           number("distilled_splats", "with", 0), number("plain_renders_psnr", "PSNR to renders without", 2),
           number("distilled_renders_psnr", "with", 2), number("plain_loss_db", "loss without, dB", 3),
           number("distilled_loss_db", "with", 3), number("target_db", "target", 1),
           number("distilled_s", "s", 0)),
          Goal("distilled_loss_db", "target_db", at_most=True)),
    Table("The learned context model", "context_model", "The same lattices, cameras made up: bytes as shares of "
          "those with tables alone, by stage and of the file; decoding with both.", case("context_model"),
          ("scene", "preset"),
          (text("scene"), text("preset"), number("decoded_splats", "splats", 0),
           *(number(f"{part}_ratio", part, 3) for part in CONTEXT_PARTS), number("ratio", "file", 3),
           number("target_ratio", "target", 2), number("tables_code_cpu_s", "coding, CPU s", 2),
           number("learned_code_cpu_s", "learned", 2), number("tables_decoded_per_s", "decoded/s", 0),
           number("learned_decoded_per_s", "learned", 0), LOAD),
          Goal("ratio", "target_ratio", at_most=True)),
    Table("Encode, preset balanced", "splats", "Splats of the source.", case("encode"),
          ("case", "scene", "encoder_cameras"),
          (text("scene"), text("encoder_cameras"), number("splats", "splats", 0), number("wall_s", "s", 2),
           number("cpu_s", "CPU s", 2), number("splats_per_s", "splats/s", 0),
           number("splats_per_cpu_s", "splats/CPU s", 0), LOAD),
          Goal("splats_per_s", "target_splats_per_s", at_most=False)),
    Table("Peak memory above the loaded scene", "splats", "Bytes per splat of the source.", case("memory"),
          ("case", "scene", "encoder_cameras"),
          (text("scene"), text("encoder_cameras"), number("encode_bytes_per_splat", "encode", 0),
           number("decode_bytes_per_splat", "decode", 0), number("target_bytes_per_splat", "target", 0)),
          Goal("encode_bytes_per_splat", "target_bytes_per_splat", at_most=True)),
    Table("Decode", "splats", "The target holds for decoded splats; pruned ones take no time.", case("decode"),
          ("case", "scene", "file", "decoder"),
          (text("scene"), text("file"), text("decoder"), number("splats", "splats", 0),
           number("decoded_splats", "decoded", 0), number("wall_s", "ms", 1, 1e3),
           number("cpu_s", "CPU ms", 1, 1e3), number("decoded_splats_per_s", "decoded/s", 0),
           number("splats_per_s", "of the source/s", 0),
           number("decoded_splats_per_cpu_s", "decoded/CPU s", 0), LOAD),
          Goal("decoded_splats_per_s", "target_splats_per_s", at_most=False)),
    Table("Lossless mode", "lossless", "Bytes against zstd -19 of the raw .ply; the target is to be smaller.",
          lambda _: True, ("scene",),
          (text("scene"), number("raw_bytes", "raw bytes", 0), number("zstd_19_bytes", "zstd -19", 0),
           number("bytes", ".press", 0), number("ratio_to_zstd", "ratio", 3), number("encode_s", "encode s", 2),
           number("decode_s", "decode s", 3), LOAD),
          Goal("ratio_to_zstd", "", at_most=True, constant=1.0)),
    Table("rANS decoding, one core", "entropy", "A byte is a decoded symbol.", lambda _: True,
          ("case", "coder", "backend", "contexts"),
          (text("case"), text("coder"), text("backend"), number("contexts", "contexts", 0),
           number("bytes", "bytes", 0), number("gb_per_s", "GB/s", 2), number("fastest_gb_per_s", "fastest", 2),
           number("target_gb_per_s", "target", 1), LOAD),
          Goal("gb_per_s", "target_gb_per_s", at_most=False)),
    Table("Rendering on the CPU", "render", "", lambda _: True, ("case",),
          (text("case"), number("wall_s", "s", 3), number("cpu_s", "CPU s", 3), number("target_s", "target s", 2),
           number("peer_wall_ratio", "x PyTorch", 0), number("target_ratio", "target x", 0), LOAD)),
    Table("A step of training on the CPU", "training",
          "Render, L1 and SSIM, gradient, Adam on what the view shows, in ms.", case("step"),
          ("case", "splats", "width"),
          (number("splats", "splats", 0), number("width", "width", 0), number("height", "height", 0),
           number("ms", "step", 1), number("render_ms", "render", 1), number("loss_ms", "loss", 1),
           number("gradient_ms", "gradient", 1), number("update_ms", "update", 1),
           number("target_ms", "target", 0), LOAD), Goal("ms", "target_ms", at_most=True)),
    Table("Scenes trained from photographs, on the CPU", "training",
          "PSNR in dB and SSIM of the photographs held out; anchors are scenes trained elsewhere (shared/data).",
          case("scene"), ("scene", "steps", "max_splats"),
          (text("scene"), number("steps", "steps", 0), number("splats", "splats", 0), number("width", "width", 0),
           number("train_s", "s", 0), number("psnr", "PSNR", 2), number("mean_view_psnr", "mean of views", 2),
           number("ssim", "SSIM", 4), number("anchor_psnr", "anchor", 2), LOAD)),
    Table("Position stage", "position", "Bits per splat, against other ways to code the same points.",
          lambda _: True, ("scene", "grid_bits", "levels_by"),
          (text("scene"), number("grid_bits", "grid bits", 0), text("levels_by"), number("press", "press", 2),
           number("order0", "order 0", 2), number("uniform", "uniform", 2), number("octree", "octree", 2))),
    Table("Reading and writing other formats", "formats", "", lambda _: True, ("format", "scene"),
          (text("format"), text("scene"), number("bytes", "bytes", 0), number("write_s", "write s", 3),
           number("read_s", "read s", 3), number("read_s_per_500_MB", "read s per 500 MB", 2),
           number("target_s_per_500_MB", "target", 1), LOAD),
          Goal("read_s_per_500_MB", "target_s_per_500_MB", at_most=True)),
    Table("Web decoder", "web_decoder",
          "In Node, one thread, median of 9 after 9. Memory: that of the module and of all that it decoded, over"
          " the latter. First: share of the bytes up to the end of the first tile of the first level. Size: module"
          " and JavaScript, gzipped; at most 250,000 bytes. Native: `scenepress.decompress()` of these bytes, all"
          " threads.",
          lambda _: True, ("scene", "preset", "learned"),
          (text("scene"), text("preset"), text("learned"), number("splats", "splats", 0),
           number("splats_per_s", "splats/s", 0), number("target_per_s", "target", 0),
           number("decode_iqr_s", "IQR s", 4), number("memory_ratio", "memory", 2),
           number("first_share", "first", 3), number("gzipped_bytes", "size", 0),
           number("native_s", "native s", 3), LOAD),
          Goal("splats_per_s", "target_per_s", at_most=False)),
    Table("Loading in the browser", "web_loading",
          "One scene in headless Chromium, each decoder in one worker; median of 9 after one. press: floats, as"
          " other programs take them; press, packed: as the viewer's worker hands them to Spark, which is what"
          " Spark's own loaders do. Splats are those of the file, which for .press may be fewer than the scene's.",
          lambda line: not str(line["loader"]).startswith("viewer"), ("scene", "loader", "preset", "learned"),
          (text("scene"), text("loader"), text("preset"), text("learned"), number("bytes", "bytes", 0),
           number("splats", "splats", 0), number("load_s", "s", 3), number("splats_per_s", "splats/s", 0),
           number("target_per_s", "target", 0), LOAD),
          Goal("splats_per_s", "target_per_s", at_most=False)),
    Table("The viewer's thread while it loads", "web_loading",
          "The longest task of the page's own thread from the first bytes of the scene to its last level, in"
          " headless Chromium with software WebGL, which holds the thread until a frame is drawn: once with frames"
          " and once without. Seconds are from the start of the page.",
          lambda line: str(line["loader"]).startswith("viewer"), ("scene", "loader", "preset", "learned"),
          (text("scene"), text("loader"), text("preset"), text("learned"), number("load_s", "s", 2),
           number("longest_task_ms", "longest task ms", 0), number("target_task_ms", "target", 0),
           number("long_tasks", "tasks over 50 ms", 0), LOAD),
          Goal("longest_task_ms", "target_task_ms", at_most=True)),
    Table("Scenes that move, trained on the CPU", "dynamic",
          "4DGaussians models of animated glTF models: 150 pictures of 400 x 400 to train with, each of a time of"
          " its own, 20 of other times and places to measure with. Bytes: all files that are needed to render.",
          lambda line: line["part"] == "train", ("scene", "steps"),
          (text("scene"), number("steps", "steps", 0), number("splats", "splats", 0),
           number("channels", "channels", 0), number("train_s", "s", 0), number("psnr", "held-out PSNR", 2),
           number("ssim", "SSIM", 4),
           number("bytes", "bytes", 0), LOAD)),
    Table("Pruning of scenes that move", "dynamic",
          "By the error without each splat (measured), or by Light4GS's spatio-temporal significance (published);"
          " then trained to look like the whole scene. dB against held-out pictures.",
          lambda line: line["part"] == "prune", ("scene", "score", "distill_steps"),
          (text("scene"), text("score"), number("distill_steps", "steps", 0), number("pruned", "pruned", 3),
           number("psnr_whole", "whole", 2), number("psnr", "PSNR", 2), number("loss_db", "loss dB", 3),
           number("target_loss_db", "target", 2), number("seconds", "s", 0)),
          Goal("loss_db", "target_loss_db", at_most=True)),
    Table("Fields trained for their code", "dynamic",
          "Deformation fields of pruned models, trained on with their numbers on a grid and a price for each bit."
          " Bytes: of the payload of stage 0x09, planes and networks. Order 0: of an ideal code without contexts.",
          lambda line: line["part"] == "code", ("scene", "rate"),
          (text("scene"), Column("loss per bit", lambda line: f"{line['rate']:g}"),
           number("bytes", "bytes", 0), number("order_0_bytes", "order 0", 0),
           number("networks_bytes", "networks, order 0", 0),
           number("nonzero", "not zero", 4), number("source_bytes", "float32", 0),
           number("psnr_whole", "whole", 2), number("psnr", "PSNR", 2), number("loss_db", "loss dB", 3))),
    Table("Start of the command line", "startup", "`scenepress --help`.", lambda _: True, (),
          (number("help_s", "s", 3), number("help_cpu_s", "CPU s", 3), number("limit_s", "limit", 1)),
          Goal("help_s", "limit_s", at_most=True)),
)  # fmt: skip

INTRODUCTION = """# Results

Made by `tests/benchmarks/summarise.py` from the files beside it, which the benchmarks of `tests/benchmarks` append
to (`make bench`): do not edit. Every table shows the newest line of each case; the files tell commit, date and
machine. Targets are those of the issue that asked for them; they stay where they are missed. Load is the number of
processes that wanted a core: times taken at a load above the number of cores are slower than they would be.
"""


def latest(lines: Iterable[Line], table: Table) -> list[Line]:
    """The last line of each case, in the order in which the cases first came."""
    found: dict[tuple[str, ...], Line] = {}
    for line in lines:
        if table.wanted(line):
            found[tuple(str(line.get(key)) for key in table.keys)] = line
    return list(found.values())


def verdict(line: Line, table: Table) -> str:
    """Against the target. Rendering has two kinds of them."""
    if table.benchmark == "render":
        slow = Goal("wall_s", "target_s", at_most=True).verdict(line)
        return slow or Goal("peer_wall_ratio", "target_ratio", at_most=False).verdict(line)
    return table.goal.verdict(line) if table.goal else ""


def render(table: Table, lines: Sequence[Line]) -> str:
    """One table as Markdown."""
    verdicts = [verdict(line, table) for line in lines]
    columns = list(table.columns)
    titles = [column.title for column in columns] + (["target met"] if any(verdicts) else [])
    rows = [
        [column.text(line).replace("|", "\\|") for column in columns] + ([word] if any(verdicts) else [])
        for line, word in zip(lines, verdicts, strict=True)
    ]
    body = "\n".join("| " + " | ".join(row) + " |" for row in [titles, ["---"] * len(titles), *rows])
    commits = ", ".join(sorted({str(line.get("commit", "unknown")) for line in lines}))
    missed = sum(word.startswith("**") for word in verdicts)
    counted = f" Targets: {sum(map(bool, verdicts)) - missed} met, {missed} missed." if any(verdicts) else ""
    about = f"{table.note}{counted} Commit {commits}.".strip()
    return f"## {table.title}\n\n{about}\n\n{body}\n"


def summarise(folder: Path) -> str:
    """The page for a folder of .jsonl files."""
    parts = [INTRODUCTION]
    known = {table.benchmark for table in TABLES}
    for table in TABLES:
        path = folder / f"{table.benchmark}.jsonl"
        if path.exists():
            every = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
            if lines := latest(every, table):
                parts.append(render(table, lines))
    if others := sorted(path.name for path in folder.glob("*.jsonl") if path.stem not in known):
        parts.append("Without a table here: " + ", ".join(f"[{name}]({name})" for name in others) + ".\n")
    return "\n".join(parts)


def main() -> None:
    """Write README.md of the folder."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs/results"
    (folder / "README.md").write_text(summarise(folder), encoding="utf-8")


if __name__ == "__main__":
    main()

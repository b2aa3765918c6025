"""The tables of results show the newest line of every case, and say which targets are missed."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def summarise() -> ModuleType:
    path = Path(__file__).parent / "benchmarks/summarise.py"
    spec = importlib.util.spec_from_file_location("summarise", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["summarise"] = module  # Dataclasses look their module up.
    spec.loader.exec_module(module)
    return module


def size(peer: str, ratio: float | None, **more: object) -> dict[str, object]:
    return {"case": "size", "scene": "plush", "encoder_cameras": "given", "evaluation": "held out", "peer": peer,
            "ratio": ratio, "target_ratio": 0.35, "lossy_source": False, "commit": "abc", **more}  # fmt: skip


def write(folder: Path, name: str, lines: list[dict[str, object]]) -> None:
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_the_last_line_of_a_case_counts(summarise: ModuleType, tmp_path: Path) -> None:
    write(tmp_path, "splats", [size("spz", 0.5), size("sog", 0.2), size("spz", 0.25)])
    page = summarise.summarise(tmp_path)
    rows = [line for line in page.splitlines() if line.startswith("| plush")]
    titles = next(line for line in page.splitlines() if line.startswith("| scene")).split(" | ")
    assert [row.split(" | ")[titles.index("peer")] for row in rows] == ["spz", "sog"]
    assert " 0.250 " in rows[0]
    assert "2 met, 0 missed" in page
    assert "| target met |" in page


@pytest.mark.parametrize(
    ("ratio", "verdict"),
    [
        (0.35, "met"),
        (0.385, "**missed** by 10%"),
        (0.875, "**missed**: 2.5 x off"),
        (None, "**missed**: no file reached this PSNR"),
    ],
)
def test_a_missed_target_says_by_how_much(
    summarise: ModuleType, tmp_path: Path, ratio: float | None, verdict: str
) -> None:
    write(tmp_path, "splats", [size("spz", ratio)])
    assert f"| {verdict} |" in summarise.summarise(tmp_path)


def test_rates_must_be_at_least_the_target(summarise: ModuleType, tmp_path: Path) -> None:
    line = {"case": "decode", "decoder": "scenepress", "wall_s": 0.1, "target_splats_per_s": 2e6}
    lines = [line | {"scene": name, "decoded_splats_per_s": rate} for name, rate in (("a", 2.5e6), ("b", 1.6e6))]
    write(tmp_path, "splats", [*lines, line | {"scene": "c", "decoded_splats_per_s": 0.0}])
    page = summarise.summarise(tmp_path).splitlines()
    rows = [row for row in page if row.startswith(("| a |", "| b |", "| c |"))]
    assert [row.split(" | ")[-1] for row in rows] == ["met |", "**missed** by 25% |", "**missed**: inf x off |"]


def test_lines_without_a_table_are_named(summarise: ModuleType, tmp_path: Path) -> None:
    write(tmp_path, "new", [{"case": "x"}])
    assert "[new.jsonl](new.jsonl)" in summarise.summarise(tmp_path)

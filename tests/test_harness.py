"""What benchmarks record can be trusted and read back."""

import importlib.util
import json
import platform
import sys
from pathlib import Path
from types import ModuleType

import pytest

HARNESS = Path(__file__).parent / "benchmarks/harness.py"


@pytest.fixture(scope="module")
def harness() -> ModuleType:
    spec = importlib.util.spec_from_file_location("harness", HARNESS)
    module = importlib.util.module_from_spec(spec)
    sys.modules["harness"] = module  # Dataclasses look their module up.
    spec.loader.exec_module(module)
    return module


def test_measure_counts_only_what_follows_the_warm_up(
    harness: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 0, 100, 200, 201, 300, 302, 400, 403, 500, 504, 600, 605])
    monkeypatch.setattr(harness.time, "perf_counter", lambda: next(clock))
    timing = harness.measure(lambda: None, repeats=5, warmup=1, limit_s=1e9)
    assert timing == harness.Timing(median_s=3, iqr_s=2, repeats=5)
    assert timing.per_second(6) == 2


def test_measure_stops_at_the_limit(harness: ModuleType) -> None:
    assert harness.measure(lambda: None, repeats=50, limit_s=0).repeats == 3
    with pytest.raises(ValueError, match="at least 3"):
        harness.measure(lambda: None, repeats=2)


def test_record_appends_one_line_with_commit_and_machine(harness: ModuleType, tmp_path: Path) -> None:
    for ratio in (0.123456789, 2.0):
        harness.record("probe", {"decode": harness.Timing(1.5, 0.25, 7), "ratio": ratio, "of": "x"}, tmp_path)
    first, second = (json.loads(line) for line in (tmp_path / "probe.jsonl").read_text().splitlines())
    assert first["benchmark"] == "probe"
    assert (first["decode_s"], first["decode_iqr_s"]) == (1.5, 0.25)
    assert (first["ratio"], second["ratio"]) == (0.123457, 2.0)
    assert first["machine"]["cores"] >= 1
    assert first["commit"]
    assert platform.node() not in first["machine"].values()


def test_record_refuses_what_json_cannot_say(harness: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        harness.record("probe", {"psnr": float("nan")}, tmp_path)
    assert not (tmp_path / "probe.jsonl").exists()

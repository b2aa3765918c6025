"""How every benchmark measures and records: warm up, median and spread, commit and machine, one JSON line.

A benchmark is a script `tests/benchmarks/bench_<name>.py` (`bench_<name>_gpu.py` where it needs a device) that
checks the result first, times with `measure`, and calls `record`, which appends to docs/results/<name>.jsonl.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from pipelines.measuring import Machine, commit, machine, peak_memory_bytes
from tests.inputs import ROOT, SHARED

__all__ = [
    "RESULTS", "ROOT", "SHARED", "Machine", "Timing",
    "commit", "machine", "measure", "peak_memory_bytes", "record",
]  # fmt: skip

RESULTS = ROOT / "docs/results"

Value = str | int | float | bool | None | list["Value"] | dict[str, "Value"]
"""What a JSON line may hold."""


@dataclasses.dataclass(frozen=True)
class Timing:
    """Wall-clock seconds of repeated calls."""

    median_s: float
    iqr_s: float
    """Distance between the quartiles: the spread."""
    repeats: int

    def per_second(self, amount: float) -> float:
        """Throughput, if every call handles `amount` of something."""
        return amount / self.median_s


def measure(call: Callable[[], object], repeats: int = 7, warmup: int = 2, limit_s: float = 60.0) -> Timing:
    """Time `call`, which must not return before its work is done.

    Args:
        call: what to time; called `warmup` + `repeats` times.
        repeats: timed calls, at least 3.
        warmup: calls before them that are not counted.
        limit_s: stop repeating after about so many seconds, but not before 3 timed calls.
    """
    if repeats < 3:
        raise ValueError(f"repeats must be at least 3, got {repeats}")
    begin = time.perf_counter()
    samples: list[float] = []
    for index in range(warmup + repeats):
        start = time.perf_counter()
        call()
        stop = time.perf_counter()
        if index >= warmup:
            samples.append(stop - start)
        if len(samples) >= 3 and stop - begin > limit_s:
            break
    low, middle, high = statistics.quantiles(samples, n=4, method="inclusive")
    return Timing(middle, high - low, len(samples))


def record(name: str, values: Mapping[str, Value | Timing], folder: Path = RESULTS) -> dict[str, Value]:
    """Print one JSON line and append it to `folder`/`name`.jsonl.

    A Timing under the key "decode" becomes "decode_s", "decode_iqr_s". Date, commit and machine are added.
    """
    line: dict[str, Value] = {"benchmark": name}
    for key, value in values.items():
        if isinstance(value, Timing):
            line |= {f"{key}_s": _rounded(value.median_s), f"{key}_iqr_s": _rounded(value.iqr_s)}
        else:
            line[key] = _rounded(value)
    date = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    line |= {"date": date, "commit": commit(), "machine": dataclasses.asdict(machine())}
    text = json.dumps(line, allow_nan=False)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name}.jsonl").open("a", encoding="utf-8") as file:
        file.write(text + "\n")
    print(text)
    return line


def _rounded(value: Value) -> Value:
    """Six significant digits: more would pretend a precision that no timing has."""
    return float(f"{value:.6g}") if isinstance(value, float) else value

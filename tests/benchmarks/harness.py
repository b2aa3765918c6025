"""How every benchmark measures and records: warm up, median and spread, commit and machine, one JSON line.

A benchmark is a script `tests/benchmarks/bench_<name>.py` (`bench_<name>_gpu.py` where it needs a device) that
checks the result first, times with `measure`, and calls `record`, which appends to docs/results/<name>.jsonl.
"""

from __future__ import annotations

import dataclasses
import datetime
import functools
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

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


@dataclasses.dataclass(frozen=True)
class Machine:
    """What a time depends on. Deliberately without the name of the host."""

    cpu: str
    cores: int
    """That this process may use."""
    memory_gib: int
    system: str
    python: str
    numpy: str
    gpu: str | None


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


def peak_memory_bytes() -> int:
    """Largest resident size of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


@functools.cache
def machine() -> Machine:
    """This machine."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        cpu = platform.processor() or platform.machine()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Machine(cpu, cores, round(memory / 2**30), f"{platform.system()} {platform.machine()}",
                   platform.python_version(), np.__version__, _gpu())  # fmt: skip


def _gpu() -> str | None:
    """Name of the first NVIDIA device, if its tool is here."""
    try:
        query = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
        names = subprocess.run(query, capture_output=True, text=True, check=True, timeout=20).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    return names.splitlines()[0].strip() if names.strip() else None


def commit() -> str:
    """The commit checked out here, with "-dirty" if files other than results changed since."""
    def git(*arguments: str) -> str:
        run = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
        return run.stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!docs/results")
    return (git("rev-parse", "--short=12", "HEAD") or "unknown") + ("-dirty" if changed else "")


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

"""How long `scenepress --help` takes from the shell: at most 0.3 s.

.venv/bin/python tests/benchmarks/bench_startup.py
"""

from __future__ import annotations

import os
import subprocess
import sys

import harness

LIMIT_S = 0.3


def run(*arguments: str) -> str:
    """Run Python with these arguments; its output."""
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=True).stdout


def child_cpu_seconds(*arguments: str) -> float:
    """Processor time of one run: unlike the time on the clock, no other program changes it much."""
    before = os.times()
    run(*arguments)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def main() -> None:
    """Check the output, time it, and time Python itself for comparison."""
    command = ("-m", "scenepress", "--help")
    if "compress" not in run(*command):
        sys.exit("startup: no help came")
    timing = harness.measure(lambda: run(*command), repeats=21)
    harness.record("startup", {
        "help": timing,
        "python_alone": harness.measure(lambda: run("-c", "pass"), repeats=21),
        "help_cpu_s": min(child_cpu_seconds(*command) for _ in range(5)),
        "limit_s": LIMIT_S,
        "reached": timing.median_s <= LIMIT_S,
    })  # fmt: skip


if __name__ == "__main__":
    main()

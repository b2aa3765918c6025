"""Runs every libFuzzer target of build/fuzz for a while; fails if one finds anything.

    .venv/bin/python .ci/fuzz.py --seconds 20

Each target starts from tests/conformance/<name> where that folder exists ("fuzz_" dropped; "press" from all
streams) and keeps what it discovers under build/fuzz/corpus/<name>. A finding stays in build/fuzz/findings for
debugging.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MEMORY_LIMIT_MIB = 2048
SLOWEST_INPUT_S = 5


def run(target: Path, seconds: int) -> bool:
    """Fuzz one target; True if nothing was found. Prints one line, or the whole log after a finding."""
    name = target.name.removeprefix("fuzz_")
    corpus = target.parent / "corpus" / name
    findings = target.parent / "findings"
    corpus.mkdir(parents=True, exist_ok=True)
    findings.mkdir(exist_ok=True)
    streams = ROOT / "tests/conformance" / name if name != "press" else ROOT / "tests/conformance"
    seeds = [str(streams)] if streams.is_dir() else []
    command = [
        str(target), str(corpus), *seeds, f"-max_total_time={seconds}", f"-rss_limit_mb={MEMORY_LIMIT_MIB}",
        f"-timeout={SLOWEST_INPUT_S}", f"-artifact_prefix={findings}/{name}-", "-print_final_stats=1",
    ]  # fmt: skip
    environment = os.environ | {"ASAN_OPTIONS": "detect_leaks=1:allocator_may_return_null=0"}
    log = subprocess.run(command, capture_output=True, text=True, errors="replace", env=environment)
    executed = re.search(r"number_of_executed_units: (\d+)", log.stderr)
    if log.returncode or not executed:
        print(f"{target.name}: FAILED\n{log.stderr[-6000:]}", flush=True)
        return False
    print(f"{target.name}: {executed[1]} inputs in {seconds} s, nothing found", flush=True)
    return True


def main() -> None:
    """Fuzz all targets, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=20, help="for each target")
    seconds = parser.parse_args().seconds
    sources = sorted((ROOT / "cuda/fuzz").glob("fuzz_*.cpp"))
    if not sources:
        sys.exit("fuzz: no cuda/fuzz/fuzz_*.cpp")
    results = [run(ROOT / "build/fuzz" / source.stem, seconds) for source in sources]
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()

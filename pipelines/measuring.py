"""What measurements depend on, and memory: the commit, the machine, the peak of a process."""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import functools
import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np

from scenepress import __version__


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
    """The commit checked out here, with "-dirty" if files other than results changed since.

    The version of scenepress where it runs from an installation: a repository around that says nothing about it.
    """
    here = Path(__file__).resolve().parent

    def git(*arguments: str) -> str:
        try:
            run = subprocess.run(["git", *arguments], cwd=here.parent, capture_output=True, text=True, check=False)
        except OSError:
            return ""
        return run.stdout.strip()

    if not git("ls-files", "pipelines/__init__.py"):
        return f"scenepress {__version__}"
    changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!docs/results")
    return (git("rev-parse", "--short=12", "HEAD") or "unknown") + ("-dirty" if changed else "")


def peak_memory_bytes() -> int:
    """Largest resident size of this process so far."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def children_peak_bytes() -> int:
    """Largest resident size of any child process that ended."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def reset_peak() -> int:
    """Bytes resident now; on Linux the peak begins anew from here, since reading the scene took more.

    Freed memory that the allocator keeps is given back first: what reuses it would seem to take none.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return peak_memory_bytes()
    return _status("VmRSS")


def peak() -> int:
    """Largest resident size since reset_peak, in bytes."""
    return _status("VmHWM") if Path("/proc/self/status").exists() else peak_memory_bytes()


def _status(key: str) -> int:
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith(key))
    return 1024 * int(line.split()[1])

"""Brings .venv to the versions of constraints.txt. Does nothing where they are all there already.

    python3 .ci/environment.py          create .venv if there is none, install what is missing
    .venv/bin/python .ci/environment.py --check   only say what is missing; exit code 1 if anything is

Where .venv is a link it belongs to another checkout: packages are added, but the project is not installed
into it (imports then come from the current directory, which `make` runs everything in).
"""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
CONSTRAINTS = ROOT / "constraints.txt"


def pins() -> dict[str, str]:
    """Name -> version of every line of constraints.txt, in its order."""
    lines = (line.split("#")[0].strip() for line in CONSTRAINTS.read_text().splitlines())
    return dict(line.split("==") for line in lines if line)


def missing() -> list[str]:
    """Pins that the running interpreter does not have at that version ("+cpu" and the like ignored)."""
    found = []
    for name, version in pins().items():
        try:
            installed = importlib.metadata.version(name).split("+")[0]
        except importlib.metadata.PackageNotFoundError:
            installed = "not installed"
        if installed != version:
            found.append(f"{name}=={version} ({installed})")
    return found


def pip(*arguments: str) -> None:
    """Run pip of .venv; stop here if it fails."""
    command = [str(PYTHON), "-m", "pip", "install", "-qq", "--disable-pip-version-check", *arguments]
    print("+ pip install", *arguments, flush=True)
    if subprocess.run(command, cwd=ROOT).returncode:
        sys.exit("environment: pip failed, see above")


def prepare() -> None:
    """Create .venv, install the pins, and the project itself where .venv is this checkout's own."""
    if sys.version_info < (3, 11):
        sys.exit(f"environment: the pinned packages need Python 3.11 or newer, this is {sys.version.split()[0]}; "
                 "choose another with PYTHON=python3.x")  # fmt: skip
    if not PYTHON.exists():
        print("+ python -m venv .venv", flush=True)
        if subprocess.run([sys.executable, "-m", "venv", str(VENV)]).returncode:
            sys.exit("environment: cannot create .venv (on Debian: apt-get install python3-venv)")
    if subprocess.run([str(PYTHON), __file__, "--check"], stdout=subprocess.DEVNULL).returncode:
        # torch first and alone: other packages would otherwise pull in whichever build is newest.
        pip(f"torch=={pins()['torch']}")
        pip("-r", str(CONSTRAINTS.relative_to(ROOT)))
    if not VENV.is_symlink():
        # The native module is built in place by `make native`, so pip need not run CMake.
        pip("--no-build-isolation", "--no-deps", "--config-settings=wheel.cmake=false", "--editable", ".")


if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        print(*(absent := missing()), sep="\n")
        sys.exit(1 if absent else 0)
    prepare()

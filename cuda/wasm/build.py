"""Builds the decoder for the browser: cuda/decode and what it needs of cuda/cpu, as one WebAssembly module.

    python cuda/wasm/build.py [-o viewers/web/decoder/dist/press.wasm] [--names]

Needs clang 14 or newer with lld, wasi-libc and libc++ for wasm32; on Debian:
apt-get install clang-14 lld-14 wasi-libc libclang-rt-14-dev-wasm32 libc++-14-dev-wasm32 libc++abi-14-dev-wasm32
"""

from __future__ import annotations

import argparse
import gzip
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OUTPUT = ROOT / "viewers/web/decoder/dist/press.wasm"
MODEL = ROOT / "scenepress/stages/learned_context_1.bin"
NAMES = ("clang++", "clang++-19", "clang++-18", "clang++-17", "clang++-16", "clang++-15", "clang++-14")
CPU = (
    "context", "context_simd128", "cpu_features", "crc32c", "dequantise", "learned", "learned_avx2",
    "learned_portable", "lossless", "position", "rans", "rans_avx2", "rans_simd128", "sh_planes", "shape",
    "splat_levels",
)  # fmt: skip
"""Of cuda/cpu. Those for AVX2 hold nothing here but what says so."""
FLAGS = (
    "--target=wasm32-wasi", "-std=c++17", "-O3", "-msimd128", "-mbulk-memory", "-ffp-contract=off",
    "-fno-math-errno", "-fno-exceptions", "-fno-rtti", "-fno-threadsafe-statics", "-fvisibility=hidden",
    "-mexec-model=reactor", "-Wall", "-Wextra", "-Wno-unused-function", "-nostdlib++", "-lc++", "-lc++abi",
    "-Wl,--gc-sections",
)  # fmt: skip


def compiler() -> str | None:
    """A clang that makes WebAssembly, if there is one."""
    for name in filter(shutil.which, NAMES):
        with tempfile.TemporaryDirectory() as folder:
            source, made = Path(folder) / "probe.cpp", Path(folder) / "probe.wasm"
            source.write_text("#include <string>\nint main() { return int(std::string(3, 'x').size()); }\n")
            command = [name, *FLAGS, str(source), "-o", str(made)]
            if subprocess.run(command, capture_output=True).returncode == 0:
                return name
    return None


def build(output: Path, names: bool = False) -> None:
    """Write the module; `names` keeps those of functions, for profiles.

    Raises:
        SystemExit: no compiler, or it fails.
    """
    clang = compiler()
    if clang is None:
        sys.exit(f"no clang that makes WebAssembly. {(__doc__ or '').strip().splitlines()[-1]}")
    sources = [ROOT / "cuda/wasm/exports.cpp", *sorted((ROOT / "cuda/decode").glob("*.cpp"))]
    sources += [ROOT / f"cuda/cpu/{name}.cpp" for name in CPU]
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "wasm/context_model.inc"
        made.parent.mkdir()
        made.write_text(",".join(map(str, MODEL.read_bytes())))
        # By name: with all that is visible the C++ library would export, and keep, what it prints with.
        exported = re.findall(r"^SP_EXPORT .*?(sp_\w+)\(", sources[0].read_text(), re.MULTILINE)
        command = [clang, *FLAGS, "-I", str(ROOT / "cuda"), "-I", folder, "-o", str(output), *map(str, sources)]
        command += [f"-Wl,--export={name}" for name in exported]
        if not names:
            command += ["-Wl,--strip-all", "-Wl,--compress-relocations"]
        if subprocess.run(command).returncode:
            sys.exit("the module could not be built")
    data = output.read_bytes()
    print(f"{output.name}: {len(data):,} bytes, {len(gzip.compress(data, 9)):,} gzipped")


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=OUTPUT)
    parser.add_argument("--names", action="store_true")
    arguments = parser.parse_args()
    build(arguments.output, arguments.names)


if __name__ == "__main__":
    main()

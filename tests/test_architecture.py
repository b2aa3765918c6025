"""The dependency rules of docs/architecture.md, as a test.

Imports inside functions count too: they are late, not absent. What must not even be loaded is tested by
loading it.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

FOLDERS = ("pipelines", "viewers", "data")
ABOVE = r"scenepress\.(cli|pipelines|data)|pipelines|viewers|data|tests"
SHARED_STAGES = {"table", "entropy", "context", "learned_context"}
"""Modules of stages/ that are no stage of their own: what other stages may import, and the table."""

FORBIDDEN = {  # Files matching the glob must not import these.
    "scenepress/**/*.py": rf"(?!scenepress\.cli)({ABOVE})",
    "scenepress/codecs/*.py": r"torch|gsplat|scenepress\.(formats|learned|report|cli)",
    "scenepress/container.py": r"torch|scenepress\.(codecs|allocation|formats|learned|quality|render|report)",
    "scenepress/metadata.py": r"torch|scenepress\.(codecs|allocation|formats|learned|quality|render|report)",
    "scenepress/allocation.py": r"torch|scenepress\.(codecs|formats|learned|report)",
    "scenepress/stages/**/*.py": r"torch|gsplat|open3d|trimesh|PIL|"
    r"scenepress\.(?!arrays|errors|kernels|scene|stages|varint)\w+",
    "scenepress/kernels/**/*.py": r"torch|gsplat|scenepress\.(?!arrays|errors|kernels)\w+",
    "scenepress/scene.py": r"torch|scenepress\.(?!arrays|errors)\w+",
    "scenepress/formats/**/*.py": r"scenepress\.(?!arrays|errors|files|kernels|scene|formats)\w+",
    "scenepress/quality.py": r"scenepress\.(?!arrays|errors|kernels|scene|render|cameras)\w+",
    "scenepress/render.py": r"scenepress\.(?!arrays|errors|kernels|scene)\w+",
    "scenepress/learned/**/*.py": r"scenepress\.(?!arrays|errors|kernels|scene|render|learned)\w+",
}

ONE_IMPORTER = {  # Heavy optional package, or what only a command needs -> the only files that may import it.
    "gsplat": "scenepress/render.py",
    "open3d": "scenepress/formats/*.py",
    "trimesh": "scenepress/formats/*.py",
    "nerfstudio": "pipelines/nerfstudio_plugin.py",
    "ray": "pipelines/batch*.py",
    "lpips": "scenepress/quality.py",
    r"scenepress\.viewers": "scenepress/view_command.py",
    "tyro": "scenepress/cli.py",
}

STANDARD = r"<[a-z_0-9]+>"
INCLUDES = {  # Files matching the glob may include only these.
    "cuda/core/*": rf"{STANDARD}|\"core/.*\"",
    "cuda/cpu/*": rf"{STANDARD}|<([a-z0-9]*mmintrin|x86intrin|cpuid|arm_neon|wasm_simd128)\.h>|\"(core|cpu)/.*\"",
    "cuda/decode/*": rf"{STANDARD}|\"(core|cpu|decode)/.*\"",
    "cuda/wasm/*": rf"{STANDARD}|\"(decode|wasm)/.*\"",
    "cuda/gpu/*": rf"{STANDARD}|<(cuda[a-z_]*|cooperative_groups)\.h>|<cub/.*>|\"(core|gpu)/.*\"",
    "cuda/bindings/*": rf"{STANDARD}|<nanobind/.*>|\"(core|cpu|bindings)/.*\"",
    "cuda/bindings_cuda/*": rf"{STANDARD}|<nanobind/.*>|\"(core|cpu|gpu|bindings|bindings_cuda)/.*\"",
    "cuda/fuzz/*": rf"{STANDARD}|\"(core|cpu|decode|fuzz)/.*\"",
}


def sources(glob: str) -> list[Path]:
    """Files of the project matching `glob`; folders linked into scenepress/ count where they really are."""
    return sorted({path for path in ROOT.glob(glob) if path.is_file() and path == path.resolve()})


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and full dotted name of everything that a Python file imports, wherever in it."""
    package = list(path.relative_to(ROOT).parts[:-1]) if path.is_relative_to(ROOT) else []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)


def broken_imports(paths: list[Path], forbidden: str) -> list[str]:
    pattern = re.compile(rf"({forbidden})(\.|$)")
    return [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in paths
        for line, name in imports(path)
        if pattern.match(name)
    ]


@pytest.mark.parametrize(("glob", "forbidden"), FORBIDDEN.items())
def test_imports_point_one_way(glob: str, forbidden: str) -> None:
    assert not broken_imports(sources(glob), forbidden)


def test_stages_do_not_import_each_other() -> None:
    paths = [path for path in sources("scenepress/stages/*.py") if path.stem not in SHARED_STAGES | {"__init__"}]
    shared = "|".join(SHARED_STAGES)
    assert not broken_imports(paths, rf"scenepress\.stages\.(?!({shared})(\.|$))\w+")


@pytest.mark.parametrize(("package", "allowed"), ONE_IMPORTER.items())
def test_packages_have_one_importer(package: str, allowed: str) -> None:
    everything = [path for top in ("scenepress", *FOLDERS) for path in sources(f"{top}/**/*.py")]
    if package.endswith("viewers"):
        everything = [path for path in everything if path.relative_to(ROOT).parts[0] != "viewers"]
    others = [path for path in everything if not path.relative_to(ROOT).match(allowed)]
    assert not broken_imports(others, package)


@pytest.mark.parametrize(("glob", "allowed"), INCLUDES.items())
def test_includes_point_one_way(glob: str, allowed: str) -> None:
    include = re.compile(r"^\s*#\s*include\s+([<\"].+?[>\"])", re.MULTILINE)
    broken = [
        f"{path.relative_to(ROOT)} includes {name}"
        for path in sources(glob)
        for name in include.findall(path.read_text(encoding="utf-8"))
        if not re.fullmatch(allowed, name)
    ]
    assert not broken


def test_the_rules_can_fail(tmp_path: Path) -> None:
    stage = tmp_path / "stage.py"
    stage.write_text("def f():\n    from scenepress.formats import ply\n    import torch.nn\n")
    names = [name for _, name in imports(stage)]
    assert names == ["scenepress.formats.ply", "torch.nn"]
    forbidden = re.compile(rf"({FORBIDDEN['scenepress/stages/**/*.py']})(\.|$)")
    assert all(forbidden.match(name) for name in names)
    assert not any(forbidden.match(name) for name in ("scenepress.kernels", "numpy"))


def test_every_stage_has_a_spec_page() -> None:
    from scenepress.stages import table

    pages = {path.stem for path in (ROOT / "docs/spec").glob("*.md")}
    modules = {path.stem for path in sources("scenepress/stages/[a-z]*.py")} - SHARED_STAGES
    assert modules <= pages, "stage modules without a page of their name under docs/spec"
    listed = {stage.spec for stage in table.STAGES.values() if stage.status == "defined"}
    assert listed <= pages, "stages of the table whose page is missing"


LIGHT = """
import sys, {module}
heavy = {{"torch", "PIL", "scipy", "skimage", "gsplat", "matplotlib", "trimesh"}} & set(sys.modules)
assert not heavy, f"importing {module} loads {{sorted(heavy)}}"
"""


@pytest.mark.parametrize("module", ["scenepress", "scenepress.cli"])
def test_start_up_is_light(module: str) -> None:
    if not (ROOT / (module.replace(".", "/") + ".py")).exists() and module != "scenepress":
        pytest.skip(f"{module} does not exist")
    command = [sys.executable, "-c", LIGHT.format(module=module)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr

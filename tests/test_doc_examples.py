"""The Python examples of README.md and docs/api.md do what they say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from scenes import cloud

import scenepress

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("page", ["README.md", "docs/api.md"])
def test_examples_run(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    scenepress.save(cloud(), "garden.ply")
    scenepress.save(cloud(), "garden.press")
    examples = re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE)
    assert examples
    for example in examples:
        exec(compile(example, page, "exec"), {})

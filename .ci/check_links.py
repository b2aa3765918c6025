"""Checks the links of the Markdown files: the file is there, and the heading too. Asks no network.
Every page in a folder under docs/ that has a README.md must be linked from it.

.venv/bin/python .ci/check_links.py
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r"\[[^\]]*\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)|(?:src|href)=\"([^\"]+)\"")
FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)


def anchors(text: str) -> set[str]:
    """The anchors that a Markdown page offers: its headings as GitHub names them, and explicit ids."""
    found: set[str] = set(re.findall(r"(?:id|name)=\"([^\"]+)\"", text))
    for heading in re.findall(r"^#+ +(.+?) *#*$", FENCE.sub("", text), re.MULTILINE):
        plain = re.sub(r"[^\w\- ]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower())
        slug = plain.replace(" ", "-")
        found.add(slug)
    return found


def broken(page: Path) -> list[str]:
    """What is wrong with the links of one page."""
    text = re.sub(r"`[^`\n]*`", "", FENCE.sub("", page.read_text(encoding="utf-8")))
    complaints = []
    for groups in LINK.findall(text):
        link = groups[0] or groups[1]
        if re.match(r"[a-z][a-z+.-]*:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists():
            complaints.append(f"{page.relative_to(ROOT)}: {link}: no such file")
        elif ROOT not in (target, *target.parents):
            complaints.append(f"{page.relative_to(ROOT)}: {link}: leads out of the repository")
        elif anchor and target.suffix == ".md" and anchor not in anchors(target.read_text(encoding="utf-8")):
            complaints.append(f"{page.relative_to(ROOT)}: {link}: no such heading")
    return complaints


def orphans(page: Path) -> list[str]:
    """Pages beside a README of the documentation that it does not mention."""
    if page.name != "README.md" or ROOT / "docs" not in page.parents:
        return []
    text = page.read_text(encoding="utf-8")
    others = sorted(path.name for path in page.parent.glob("*.md") if path != page)
    return [f"{page.relative_to(ROOT)}: no link to {name}" for name in others if f"]({name})" not in text]


def main() -> None:
    """Check every Markdown file that is part of the project."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "*.md"], cwd=ROOT,
                            capture_output=True, text=True, check=True)  # fmt: skip
    pages = [ROOT / line for line in listed.stdout.splitlines() if (ROOT / line).is_file()]
    complaints = [complaint for page in pages for complaint in broken(page) + orphans(page)]
    print(*complaints, f"{len(pages)} pages, {len(complaints)} complaints", sep="\n")
    sys.exit(1 if complaints else 0)


if __name__ == "__main__":
    main()

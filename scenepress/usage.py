"""What is wrong with the arguments of a command, in one line: the parser prints a box of several."""

from __future__ import annotations

import contextlib
import io
import os
import re
from collections.abc import Iterator

WIDE = "100000"
"""Columns of the terminal that the parser is told of, lest it breaks words."""

_STYLE = re.compile(r"\x1b\[[0-9;]*m")
_RULE = re.compile(r"[-─]*")
_ASIDE = ("For full helptext", "Argument helptext")
"""Starts of the box's parts that say nothing about the fault."""


@contextlib.contextmanager
def captured(wide: bool) -> Iterator[io.StringIO]:
    """stderr, kept for `in_one_line`; `wide`: on a terminal of WIDE columns."""
    before = os.environ.get("COLUMNS")
    if wide:
        os.environ["COLUMNS"] = WIDE
    try:
        with contextlib.redirect_stderr(io.StringIO()) as said:
            yield said
    finally:
        if before is not None:
            os.environ["COLUMNS"] = before
        else:
            os.environ.pop("COLUMNS", None)


def in_one_line(box: str, program: str) -> str:
    """The fault that a box of the parser names, and where to read more.

    Args:
        box: what the parser printed: a title and parts between rules, with or without borders and colours.
        program: the command whose --help explains the arguments.
    """
    parts: list[list[str]] = [[]]
    for line in _STYLE.sub("", box).splitlines():
        text = line.strip(" ╭╮╰╯│")
        if _RULE.fullmatch(text):
            parts.append([])
        elif line.startswith("╭"):  # The title, with the border about it.
            parts += [[text.strip("─ ")], []]
        elif text:
            parts[-1].append(text)
    title, *rest = [part for part in parts if part] or [["bad usage"]]
    said = [_said(part) for part in rest if not part[0].startswith(_ASIDE)] or title
    faults = [text.removeprefix("Error parsing ").rstrip(".") for text in said]
    return "; ".join([*(f"{text[:1].lower()}{text[1:]}" for text in faults), f"see {program} --help"])


def _said(part: list[str]) -> str:
    """One part of the box, without details that only a box has room for."""
    if part[0] == "Perhaps you meant:":
        names = [line.split()[0].rstrip(",") for line in part[1:] if line.startswith("-")]
        return f"perhaps you meant {' or '.join(dict.fromkeys(names))}"
    if part[0].startswith("Missing from"):
        # Option and its explanation in turn; the names are enough.
        names = [re.sub(r"^-\w \S+, ", "", name) for name in part[1::2]]
        return f"missing {', '.join(names)}"
    return " ".join(part)

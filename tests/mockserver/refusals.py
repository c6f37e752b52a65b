"""The first problem of a refused file, without its column and without the lines that would be right."""

from __future__ import annotations

import re


def first_problem(refused: str) -> str:
    """`booking.yaml:3:5: turns: …; write:` as `booking.yaml:3: turns: …`."""
    line = refused.split("\n", 1)[0]
    return re.sub(r"^([^:\n]*:\d+):\d+: ", r"\1: ", line).removesuffix("; write:").removesuffix(" Write:")

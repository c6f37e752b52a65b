"""Which steps of the common conversation a client went through, for the table that is printed at the end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

NAMES = ("configure", "typed turn", "tool round", "spoken turn", "interruption", "reconnect", "close", "ledger")


class Steps:
    """One client in one dialect. `with steps("tool round"):` notes whether that went well."""

    def __init__(self, client: str, dialect: str) -> None:
        self.client = client
        self.dialect = dialect
        self.outcome: dict[str, str] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        assert name in NAMES, f"the steps are {', '.join(NAMES)}"
        self.outcome[name] = "FAILED"
        yield
        self.outcome[name] = "ok"


def table(rows: Sequence[Steps]) -> list[str]:
    """Lines of text: client, dialect, and a column a step; a dash where a client has no such step."""
    cells: list[tuple[str, ...]] = [("client", "dialect", *NAMES)]
    cells += [(row.client, row.dialect, *(row.outcome.get(name, "-") for name in NAMES)) for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]

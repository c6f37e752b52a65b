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
        self.notes: list[str] = []

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        self._note(name, "FAILED")
        yield
        self._note(name, "passed")

    def skip(self, name: str, reason: str) -> None:
        """The client has no such step."""
        self._note(name, "skipped", reason)

    def breaks(self, name: str, reason: str) -> None:
        """The client breaks here, as it does with the service."""
        self._note(name, "breaks", reason)

    def _note(self, name: str, outcome: str, reason: str = "") -> None:
        assert name in NAMES, f"the steps are {', '.join(NAMES)}"
        self.outcome[name] = outcome
        if reason:
            self.notes.append(f"{self.client}, {self.dialect}: {name} {outcome}: {reason}")


def table(rows: Sequence[Steps]) -> list[str]:
    """Lines of text: client, dialect, a column a step, a dash where it was not reached; then the reasons."""
    cells: list[tuple[str, ...]] = [("client", "dialect", *NAMES)]
    cells += [(row.client, row.dialect, *(row.outcome.get(name, "-") for name in NAMES)) for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    return [*lines, *(note for row in rows for note in row.notes)]

"""How results are printed: tables in Markdown that can be read as they are, and promises with their verdicts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median
from typing import NamedTuple

__all__ = ["BROKEN", "PROMISED", "Promise", "print_promises", "print_table", "spread", "table"]

BROKEN = 3
"""What a part ends with if a promise is not kept, so that an error is not taken for that."""
PROMISED = ("what", "promised", "aim", "measured", "")
"""The head of a table of promises."""


class Promise(NamedTuple):
    """Something that is promised or aimed at, and what was measured of it."""

    what: str
    measured: str
    """With its spread, where it has one."""
    promised: str = ""
    """The bound that is promised: `≥ 1.0`; nothing: it is an aim only."""
    aim: str = ""
    kept: bool | None = None
    """Whether the promise is kept, or, where there is none, the aim reached; None: nothing can be said of it."""
    reached: bool | None = None
    """Whether the aim beyond a promise is reached; None: there is none, or nothing can be said of it."""

    @property
    def broken(self) -> bool:
        """Whether a promise is not kept, or cannot be said to be."""
        return bool(self.promised) and not self.kept

    @property
    def verdict(self) -> str:
        """What is said of it, in a word or two."""
        if self.kept is None:
            return "unclear"
        if not self.promised:
            return "reached" if self.kept else "not reached"
        if self.reached is None or not self.kept:
            return "kept" if self.kept else "BROKEN"
        return "kept, aim reached" if self.reached else "kept, aim not reached"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a table; all columns but the first stand at the right, as numbers do."""
    lines = [tuple(cell.replace("|", "/") for cell in row) for row in (head, *rows)]
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    rule = [f"{'-' * widths[0]}", *(f"{'-' * max(width - 1, 2)}:" for width in widths[1:])]
    widths = [max(width, len(dashes)) for width, dashes in zip(widths, rule, strict=True)]

    def line(cells: Sequence[str]) -> str:
        first, *others = zip(cells, widths, strict=True)
        return "| " + " | ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]) + " |"

    return "\n".join([line(lines[0]), line(rule), *map(line, lines[1:])])


def print_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table, and an empty line after it."""
    print(table(head, rows), end="\n\n")


def print_promises(promises: Sequence[Promise]) -> bool:
    """Print promises and aims as a table, and return whether no promise is broken."""
    print_table(PROMISED, [(one.what, one.promised, one.aim, one.measured, one.verdict) for one in promises])
    return not any(one.broken for one in promises)


def spread(numbers: Iterable[float], form: str = ",.0f") -> str:
    """Write a median, and the range that it comes from."""
    numbers = sorted(numbers)
    middle, least, most = (format(number, form) for number in (median(numbers), numbers[0], numbers[-1]))
    return middle if least == most else f"{middle} ({least} to {most})"

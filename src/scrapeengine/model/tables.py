"""Values as they are read: tables of text, times and sizes; and as JSON has them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import attrs

__all__ = ["plain", "size", "table", "time"]


def table(head: Sequence[str], rows: Sequence[Sequence[object]], most: int = 40) -> list[str]:
    """Return the lines of a table: the first column flush left, all others flush right.

    Args:
        head: the words above the columns.
        rows: the rows, each as long as the head.
        most: how many of these are shown; of all others it is said how many they are.
    """
    cells = [[str(each) for each in row] for row in (head, *rows[:most])]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = []
    for first, *rest in cells:
        flush = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))]
        lines.append("  ".join(flush))
    return lines if len(rows) <= most else [*lines, f"… and {len(rows) - most:,} more"]


def time(seconds: float) -> str:
    """Return a time to three digits, in the unit that it has most of."""
    for unit, name in ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"), (1e-3, "ms")):
        if seconds >= unit * 0.9995:  # what would be shown as 1,000 of the next one
            return f"{seconds / unit:.3g} {name}"
    return f"{seconds * 1e6:.0f} µs" if seconds else "0 s"


def size(number: int) -> str:
    """Return a number of bytes to three digits."""
    exact, names = float(number), ["bytes", "kB", "MB", "GB", "TB"]
    while exact >= 999.5 and len(names) > 1:
        exact /= 1000
        names.pop(0)
    return f"{exact:.3g} {names[0]}"


def plain(value: Any) -> Any:
    """Return what JSON has for a value: dicts, lists, texts and numbers; None for a number that is not finite."""
    if attrs.has(type(value)):
        fields = (field.name for field in attrs.fields(type(value)) if not field.metadata.get("drawn"))
        return {name: plain(getattr(value, name)) for name in fields}
    match value:
        case Mapping():
            return {str(key): plain(each) for key, each in value.items()}
        case datetime():
            return value.isoformat()
        case float() if not math.isfinite(value):
            return None
        case _:
            return value

"""Outcomes as rows of CSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import attrs

from scrapeengine.model.outcome import Outcome
from scrapeengine.sinks.cells import EXTRA, OWN, cells_of
from scrapeengine.sinks.rows import encoder_of, parts_of, shown

__all__ = ["CsvRows", "names_of"]

_PLAIN = {str, int, float, bool, type(None)}
"""What is written as it is; anything else as JSON."""
_CELL = re.compile(r'(?:"((?:[^"]|"")*)"|([^,"]*))(?:,|$)')


@attrs.define(eq=False)
class CsvRows:
    """CSV, as RFC 4180 has it: a value that is an object has a column for each of its fields, any other one."""

    _encode: Callable[[Any], Any] | None = None
    """Makes something that JSON has of what it does not have."""
    _given: Sequence[str] | None = None
    """The columns of the values; None: those that the first outcomes have."""
    _extra: bool = False
    """Whether fields without a column go into the column "extra", as JSON; else each is an error."""
    _columns: list[str] | None = attrs.field(default=None, init=False)
    _json: Callable[[Any], str] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        """Make the encoder once."""
        self._json = encoder_of(self._encode).encode

    def begin(self, head: bytes) -> None:
        """Take the columns of the file, where it has some."""
        self._columns = names_of(head.decode("utf-8")) if head else None

    def fits(self, outcomes: Iterable[Outcome[Any]]) -> bool:
        """See `Rows`. Values do not fit behind a first line that has no column of any: no outcome had one then."""
        if self._columns is None or self._given is not None or not {*self._columns} <= {*OWN, EXTRA}:
            return True
        return not any(cells_of(value) for outcome in outcomes for _, value, _ in parts_of(outcome))

    def of(self, outcomes: Iterable[Outcome[Any]], now: float) -> bytes:
        """See `Rows`."""
        written, own, values = shown(now), [], []
        for outcome in outcomes:
            for kind, value, error in parts_of(outcome):
                elapsed = round(outcome.elapsed, 6)
                own.append([outcome.event.id, outcome.platform, kind, outcome.attempts, elapsed, written, error])
                values.append(cells_of(value))
        columns = self._columns or self._found(values)
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        if self._columns is None:
            writer.writerow(columns)
        names = tuple(columns[len(OWN) :])
        for row, cells in zip(own, values, strict=True):
            row.extend(self._line(cells, names))
        writer.writerows(own)
        data = text.getvalue().encode("utf-8", "backslashreplace")
        self._columns = columns
        return data

    def _line(self, cells: Mapping[str, Any], names: tuple[str, ...]) -> Iterable[Any]:
        """Return the cells of a row, in the order of their columns."""
        if tuple(cells) != names:
            cells = self._with_extra(cells, names)
            line = [cells.get(name) for name in names]
        else:
            line = list(cells.values())
        return line if {*map(type, line)} <= _PLAIN else map(self._text, line)

    def _text(self, cell: Any) -> Any:
        return cell if cell is None or isinstance(cell, str | int | float) else self._json(cell)

    def _found(self, values: Iterable[Mapping[str, Any]]) -> list[str]:
        names = self._given
        if names is None:
            names = list(dict.fromkeys(name for cells in values for name in cells))
        return [*OWN, *names, *([EXTRA] if self._extra else [])]

    def _with_extra(self, cells: Mapping[str, Any], names: Sequence[str]) -> Mapping[str, Any]:
        if cells.keys() <= {*names}:
            return cells
        others = {name: cell for name, cell in cells.items() if name not in names}
        if EXTRA not in names:
            raise ValueError(
                f"the file has no column {next(iter(others))!r}: begin another one, and give columns=[…] with all "
                "there are, or extra=True for a column of those that have none"
            )
        return {**cells, EXTRA: self._json(others)}


def names_of(line: str) -> list[str]:
    """Return the cells of a first line, however long they are: `csv` reads none that is longer than 128 KiB."""
    found, at, ends = [], 0, False
    while not ends:
        cell = _CELL.match(line, at)
        if cell is None:
            raise ValueError(f"the first line is no CSV from its character {at:,} on: move the file away")
        found.append(cell[2] if cell[1] is None else cell[1].replace('""', '"'))
        at, ends = cell.end(), not cell[0].endswith(",")
    return found

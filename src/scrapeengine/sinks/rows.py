"""Outcomes as rows of files: one JSON object, or one line of CSV, for each."""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol, assert_never

import attrs

from scrapeengine.decide.records import error_text
from scrapeengine.model.outcome import Cancelled, Failure, Outcome, Skipped, Success

__all__ = ["CsvRows", "JsonRows", "Rows", "rows_of"]

_OWN = ("id", "platform", "kind", "attempts", "elapsed", "written", "error")
"""The columns of each CSV file, before those of the values."""
_VALUE, _EXTRA = "value", "extra"


class Rows(Protocol):
    """Makes the bytes of a file of outcomes."""

    def begin(self, head: bytes) -> None:
        """Go on with a file.

        Args:
            head: its first line; empty where it begins here.
        """
        ...

    def of(self, outcomes: Iterable[Outcome[Any]], now: float) -> bytes:
        """Return what outcomes add to the file.

        Args:
            outcomes: the outcomes.
            now: the Unix time.

        Raises:
            TypeError, ValueError: one of them cannot be written; says what to write instead.
        """
        ...


def rows_of(outcome: Outcome[Any], now: float) -> list[dict[str, Any]]:
    """Return what a file has of an outcome: a row for each of its items, and one for itself, if that says more.

    Args:
        outcome: how the task has ended.
        now: the Unix time at which it is written.
    """
    written = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds")
    times = {"attempts": outcome.attempts, "elapsed": round(outcome.elapsed, 6), "written": written}
    whose = {"id": outcome.event.id, "platform": outcome.platform}
    rows: list[dict[str, Any]] = [{**whose, "kind": "item", "value": item, **times} for item in outcome.items]
    row: dict[str, Any] = dict(whose)
    match outcome:
        case Success(value=None) if rows:
            return rows
        case Success(value=value):
            row |= {"kind": "success", "value": value}
        case Failure(error=error):
            row |= {"kind": "failure", "error": error_text(error)}
        case Skipped(reason=reason):
            row |= {"kind": "skipped", "error": reason}
        case Cancelled(reason=reason):
            row |= {"kind": "cancelled", "error": reason}
        case _:
            assert_never(outcome)
    return [*rows, row | times]


@attrs.frozen(eq=False)
class JsonRows:
    """JSON lines: each is an object, and begins and ends in one line."""

    _encode: Callable[[Any], Any] | None = None

    def begin(self, head: bytes) -> None:
        """Do nothing: no line depends on another."""

    def of(self, outcomes: Iterable[Outcome[Any]], now: float) -> bytes:
        """See `Rows`."""
        lines = [_json(row, self._encode) for outcome in outcomes for row in rows_of(outcome, now)]
        # Half a surrogate pair becomes its escape, which JSON has.
        return "".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace")


@attrs.define(eq=False)
class CsvRows:
    """CSV, as RFC 4180 has it: a value that is an object has a column for each of its fields, any other one."""

    _encode: Callable[[Any], Any] | None = None
    _given: Sequence[str] | None = None
    """The columns of the values; None: those that the first outcomes have."""
    _extra: bool = False
    """Whether fields without a column go into the column "extra", as JSON; else each is an error."""
    _columns: list[str] | None = attrs.field(default=None, init=False)

    def begin(self, head: bytes) -> None:
        """Take the columns of the file, where it has some."""
        self._columns = next(csv.reader([head.decode("utf-8")])) if head else None

    def of(self, outcomes: Iterable[Outcome[Any]], now: float) -> bytes:
        """See `Rows`."""
        rows = [self._flat(row) for outcome in outcomes for row in rows_of(outcome, now)]
        columns = self._columns or self._found(rows)
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        if self._columns is None:
            writer.writerow(columns)
        for row in rows:
            writer.writerow([_cell(value) for value in self._placed(row, columns)])
        data = text.getvalue().encode("utf-8", "backslashreplace")
        self._columns = columns
        return data

    def _flat(self, row: dict[str, Any]) -> dict[str, Any]:
        value = row.pop(_VALUE, None)
        if isinstance(value, Mapping):
            fields = {str(name): each for name, each in value.items()}
        else:
            fields = {} if value is None else {_VALUE: value}
        taken = {*_OWN, _EXTRA}
        fields = {f"{_VALUE}.{name}" if name in taken else name: each for name, each in fields.items()}
        plain = str | int | float
        return row | {
            name: each if isinstance(each, plain) or each is None else _json(each, self._encode)
            for name, each in fields.items()
        }

    def _found(self, rows: Iterable[Mapping[str, Any]]) -> list[str]:
        names = self._given
        if names is None:
            names = list(dict.fromkeys(name for row in rows for name in row if name not in _OWN))
        return [*_OWN, *names, *([_EXTRA] if self._extra else [])]

    def _placed(self, row: Mapping[str, Any], columns: Sequence[str]) -> list[Any]:
        others = {name: value for name, value in row.items() if name not in columns}
        if others and _EXTRA not in columns:
            raise ValueError(
                f"the file has no column {next(iter(others))!r}: begin another one, and give columns=[…] with all "
                "there are, or extra=True for a column of those that have none"
            )
        placed: dict[str, Any] = {**row, _EXTRA: _json(others, self._encode)} if others else dict(row)
        return [placed.get(name) for name in columns]


def _cell(value: Any) -> Any:
    return "" if value is None else value


def _json(value: Any, encode: Callable[[Any], Any] | None) -> str:
    def default(each: Any) -> Any:
        if isinstance(each, bytes):
            return {"base64": base64.b64encode(each).decode("ascii")}
        if encode is None:
            raise TypeError(
                f"what a scraper has returned has a {type(each).__name__} in it, which JSON has not: give the sink "
                "encode=…, such as str"
            )
        return encode(each)

    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=default)

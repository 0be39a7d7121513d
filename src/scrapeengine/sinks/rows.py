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
from scrapeengine.model.urls import told

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

    def fits(self, outcomes: Iterable[Outcome[Any]]) -> bool:
        """Say whether outcomes can go into this file, as far as that is to be helped by another one."""
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


def rows_of(outcome: Outcome[Any], written: str) -> list[dict[str, Any]]:
    """Return what a file has of an outcome: a row for each of its items, and one for itself, if that says more.

    Args:
        outcome: how the task has ended.
        written: when it is written.
    """
    event, platform, attempts = outcome.event.id, outcome.platform, outcome.attempts
    elapsed = round(outcome.elapsed, 6)

    def row(kind: str, name: str, value: Any) -> dict[str, Any]:
        return {
            "id": event,
            "platform": platform,
            "kind": kind,
            name: value,
            "attempts": attempts,
            "elapsed": elapsed,
            "written": written,
        }

    rows = [row("item", _VALUE, item) for item in outcome.items]
    match outcome:
        case Success(value=None) if rows:
            pass
        case Success(value=value):
            rows.append(row("success", _VALUE, value))
        case Failure(error=error):
            rows.append(row("failure", "error", error_text(error)))
        case Skipped(reason=reason):
            rows.append(row("skipped", "error", reason))
        case Cancelled(reason=reason):
            rows.append(row("cancelled", "error", reason))
        case _:
            assert_never(outcome)
    return rows


def _shown(now: float) -> str:
    return datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds")


class JsonRows:
    """JSON lines: each is an object, and begins and ends in one line."""

    def __init__(self, encode: Callable[[Any], Any] | None = None) -> None:
        self._json = _encoder(encode).encode

    def begin(self, head: bytes) -> None:
        """Do nothing: no line depends on another."""

    def fits(self, outcomes: Iterable[Outcome[Any]]) -> bool:
        """See `Rows`."""
        del outcomes
        return True

    def of(self, outcomes: Iterable[Outcome[Any]], now: float) -> bytes:
        """See `Rows`."""
        written, json = _shown(now), self._json
        lines = [json(row) for outcome in outcomes for row in rows_of(outcome, written)]
        lines.append("")  # so that the last one ends too
        # Half a surrogate pair becomes its escape, which JSON has.
        return "\n".join(lines).encode("utf-8", "backslashreplace")


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

    def _json(self, value: Any) -> str:
        return _encoder(self._encode).encode(value)

    def begin(self, head: bytes) -> None:
        """Take the columns of the file, where it has some."""
        self._columns = next(csv.reader([head.decode("utf-8")])) if head else None

    def fits(self, outcomes: Iterable[Outcome[Any]]) -> bool:
        """See `Rows`. Values do not fit behind a first line that has no column of any: no outcome had one then."""
        if self._columns is None or self._given is not None or not {*self._columns} <= {*_OWN, _EXTRA}:
            return True
        return all({*self._flat(row)} <= {*_OWN} for outcome in outcomes for row in rows_of(outcome, ""))

    def of(self, outcomes: Iterable[Outcome[Any]], now: float) -> bytes:
        """See `Rows`."""
        written = _shown(now)
        rows = [self._flat(row) for outcome in outcomes for row in rows_of(outcome, written)]
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
        fields = _by_column(value) if isinstance(value, Mapping) else {} if value is None else {_VALUE: value}
        taken, own = {*_OWN, _EXTRA}, f"{_VALUE}."  # what begins so is moved too, or two would have one name
        fields = {own + name if name in taken or name.startswith(own) else name: each for name, each in fields.items()}
        plain = str | int | float
        return row | {
            name: each if isinstance(each, plain) or each is None else self._json(each) for name, each in fields.items()
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
        placed: dict[str, Any] = {**row, _EXTRA: self._json(others)} if others else dict(row)
        return [placed.get(name) for name in columns]


def _cell(value: Any) -> Any:
    return "" if value is None else value


def _encoder(encode: Callable[[Any], Any] | None) -> json.JSONEncoder:
    """Make an encoder: `json.dumps` with options makes one for each call."""

    def default(each: Any) -> Any:
        if isinstance(each, bytes):
            return {"base64": base64.b64encode(each).decode("ascii")}
        if encode is None:
            raise TypeError(
                f"what a scraper has returned has a {type(each).__name__} in it, which JSON has not: give the sink "
                "encode=…, such as str"
            )
        return encode(each)

    return json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=default)


def _by_column(value: Mapping[Any, Any]) -> dict[str, Any]:
    """Return the fields of a value by names that a first line can have: in one line, and of characters."""
    found: dict[str, Any] = {}
    for name, each in value.items():
        column = str(name).encode("utf-8", "backslashreplace").decode().replace("\r", "\\r").replace("\n", "\\n")
        if column in found:
            raise ValueError(f"two fields of a value are both {told(column)} in CSV; give them other names")
        found[column] = each
    return found

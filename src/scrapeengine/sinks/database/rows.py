"""Which rows an outcome makes: by a function of the program's, by a mapping, or as it is."""

from __future__ import annotations

import datetime as dt
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias, assert_never

from scrapeengine.decide.records import error_text
from scrapeengine.model.outcome import Cancelled, Failure, Outcome, Skipped, Success
from scrapeengine.model.urls import named, told
from scrapeengine.sinks.database.tables import SqlTable

__all__ = ["OUTCOME_KEY", "OUTCOME_TYPES", "RowsOf", "SqlRow", "SqlRows", "outcome_rows", "rows_by"]

OUTCOME_KEY = ("platform", "id", "item")
"""What tells rows of `outcome_rows` from each other."""
OUTCOME_TYPES: Mapping[str, type] = {"value": dict, "error": str}
"""Of what its columns are that may begin with None."""

SqlRows: TypeAlias = (
    Callable[[Outcome[Any]], Iterable[Mapping[str, Any] | tuple[str, Mapping[str, Any]]]]
    | Mapping[str, str | Callable[[Outcome[Any]], Any]]
)
"""Rows of an outcome: a function that returns them, each with its table's name, or without one where there is one table
only; or for each column the name of a field of the value, or a function of the outcome."""


class SqlRow(NamedTuple):
    """One row that is to be written."""

    table: str
    values: Mapping[str, Any]
    of: Outcome[Any]
    """What it was made of: an error says so."""

    def shown(self) -> str:
        """Name it in an error."""
        return f"the row of table {told(self.table)} that event {named(self.of.event.id)!r} on {self.of.platform} made"


RowsOf: TypeAlias = Callable[[Outcome[Any], float], Iterator[SqlRow]]
"""Makes the rows of one outcome, at a Unix time."""


def rows_by(rows: object, tables: Sequence[SqlTable]) -> RowsOf:
    """Return what makes the rows of an outcome.

    Args:
        rows: what a program says of that, as `SqlRows`; None, with one table: as `outcome_rows` makes them.
        tables: all that there are.

    Raises:
        TypeError: it is neither a function nor a mapping.
        ValueError: a mapping for several tables.
    """
    only = tables[0].name if len(tables) == 1 else None
    if only is None and (rows is None or isinstance(rows, Mapping)):
        raise ValueError("rows= is a mapping of columns, or None, for one table only: for several write a function")
    if isinstance(rows, Mapping):
        assert only is not None
        return _by_mapping(only, {column: _taken(column, each) for column, each in rows.items()})
    if rows is None:
        assert only is not None
        return lambda outcome, now: (SqlRow(only, values, outcome) for values in outcome_rows(outcome, now))
    if not callable(rows):
        raise TypeError(
            f"rows= takes a function of an outcome, or a mapping of columns, got {told(rows)}; write "
            "rows=lambda outcome: [('odds', {'event': outcome.event.id, …})]"
        )
    function: Callable[..., Any] = rows
    known = {table.name for table in tables}

    def made(outcome: Outcome[Any], now: float) -> Iterator[SqlRow]:
        del now
        for each in _returned(function, outcome):
            table: Any = only
            values: Any = each
            if isinstance(each, tuple | list) and len(each) == 2:
                table, values = each
            if table not in known or not (type(values) is dict or isinstance(values, Mapping)):
                raise ValueError(
                    f"rows= has made {told(each)}, which is no row: write (table, {{column: value}}) with one of "
                    f"{', '.join(sorted(known))}"
                )
            yield SqlRow(table, values, outcome)

    return made


def _returned(function: Callable[..., Any], outcome: Outcome[Any]) -> Iterable[Any]:
    found = function(outcome)
    if inspect.iscoroutine(found):
        found.close()
        raise ValueError("rows= is an async function, and none is awaited there: make it a plain one")
    if isinstance(found, Iterable):
        return found
    raise ValueError(f"rows= has returned {told(found)}, which is no list of rows: return [] where there are none")


def _by_mapping(table: str, columns: Mapping[str, Callable[[Outcome[Any], Any], Any]]) -> RowsOf:
    def made(outcome: Outcome[Any], now: float) -> Iterator[SqlRow]:
        del now
        values = list(outcome.items)
        if isinstance(outcome, Success) and not (outcome.value is None and values):
            values.append(outcome.value)
        for value in values:
            yield SqlRow(table, {column: taken(outcome, value) for column, taken in columns.items()}, outcome)

    return made


def _taken(column: str, given: object) -> Callable[[Outcome[Any], Any], Any]:
    """Return what takes the value of a column from an outcome and one value of it."""
    if isinstance(given, str):
        return lambda _, value: value[given]
    if callable(given):
        function: Callable[[Outcome[Any]], Any] = given
        return lambda outcome, _: function(outcome)
    raise TypeError(
        f"rows= has for column {told(column)} {told(given)}: write the name of a field of the value, or a function of "
        "the outcome"
    )


def outcome_rows(outcome: Outcome[Any], now: float) -> Iterator[dict[str, Any]]:
    """Make rows of an outcome as it is: one for itself, whose `item` is 0, and one for each of its items, from 1 on.

    Args:
        outcome: how the task has ended.
        now: the Unix time.
    """

    def row(item: int, kind: str, value: Any, error: str | None) -> dict[str, Any]:
        return {
            "platform": outcome.platform,
            "id": outcome.event.id,
            "item": item,
            "kind": kind,
            "value": value,
            "error": error,
            "attempts": outcome.attempts,
            "elapsed": round(outcome.elapsed, 6),
            "written": dt.datetime.fromtimestamp(now, dt.UTC),
        }

    match outcome:
        case Success(value=value):
            yield row(0, "success", value, None)
        case Failure(error=error):
            yield row(0, "failure", None, _writable(error_text(error)))
        case Skipped(reason=reason):
            yield row(0, "skipped", None, _writable(reason))
        case Cancelled(reason=reason):
            yield row(0, "cancelled", None, _writable(reason))
        case _:
            assert_never(outcome)
    for number, item in enumerate(outcome.items, 1):
        yield row(number, "item", item, None)


def _writable(text: str) -> str:
    """Return the text of an error without what some databases have not: no page that says it is to end a run."""
    return text.replace("\0", "\N{SYMBOL FOR NULL}").encode(errors="backslashreplace").decode()

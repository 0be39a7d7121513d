"""Outcomes as rows of typed columns, which are Arrow's.

What is not of the type of its column is an error that names it, or goes to the column "extra" as JSON; nothing is
made less, as a number with a fraction would be in a column of whole ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import attrs

from scrapeengine.decide.texts import written
from scrapeengine.model.outcome import Outcome
from scrapeengine.model.urls import told
from scrapeengine.sinks.cells import EXTRA, OWN, cells_of
from scrapeengine.sinks.rows import Part, encoder_of, parts_of
from scrapeengine.sinks.spools import arrow, named

__all__ = ["ColumnRows", "check_schema"]

_NONE = type(None)
_WRONG = (ValueError, TypeError, OverflowError, NotImplementedError)
"""What pyarrow raises where a value is not of a type; its own exceptions are among these."""


@attrs.define(eq=False)
class ColumnRows:
    """Rows of typed columns, as the messages of a spool. Implements `rows.Rows`."""

    _encode: Callable[[Any], Any] | None
    """Makes something that JSON has of what it does not have."""
    _given: Any
    """The schema of the values' columns; None: that of the last part, or what the first values are."""
    _extra: bool
    """Whether what has no column goes into the column "extra", as JSON; else it is an error."""
    _before: Callable[[], Any]
    """Returns the schema of the last part, if there is one."""
    _columns: dict[str, Any] | None = attrs.field(default=None, init=False)
    """The types of the values' columns, by name. They stay the same from one spool to the next."""
    _schema: Any = attrs.field(default=None, init=False)
    """That of the spool of now; None: it is still to begin."""

    def begin(self, head: bytes) -> None:
        """See `Rows`."""
        self._schema = arrow("pyarrow.ipc").read_schema(arrow().py_buffer(head)) if head else None

    def fits(self, outcomes: Iterable[Outcome[Any]]) -> bool:
        """See `Rows`. Values do not fit into a spool that has no column of any: no outcome had one then."""
        if self._schema is None or self._columns or self._given is not None:
            return True
        values = (value for outcome in outcomes for _, value, _ in parts_of(outcome))
        return all(cell is None for value in values for cell in cells_of(value).values())

    def of(self, outcomes: Iterable[Outcome[Any]], now: float) -> bytes:
        """See `Rows`."""
        parts = [parts_of(outcome) for outcome in outcomes]
        own = _own_arrays(outcomes, parts, now)
        values = [cells_of(value) for each in parts for _, value, _ in each]
        columns = self._columns
        if columns is None or (self._schema is None and not columns):
            known = self._known()
            columns = self._found(values) if known is None else known
        arrays, others = self._placed(values, columns)
        if self._extra:
            arrays.append(arrow().array([self._json(each) if each else None for each in others], arrow().string()))
        schema, head = self._schema, b""
        if schema is None:
            schema = named(arrow().schema(self._fields(columns)))
            head = schema.serialize().to_pybytes()
        batch = arrow().RecordBatch.from_arrays([*own, *arrays], schema=schema)
        self._columns, self._schema = columns, schema
        return head + bytes(batch.serialize())

    def _json(self, value: Any) -> str:
        return _characters(encoder_of(self._encode).encode(value)) or ""

    def _known(self) -> dict[str, Any] | None:
        """Return the columns that are given, or those that the last part has, if it has any of values; else None."""
        schema = self._before() if self._given is None else self._given
        if schema is None:
            return None
        taken = {*OWN, EXTRA}
        found = {field.name: field.type for field in schema if field.name not in taken}
        return None if self._given is None and not found else found

    def _fields(self, columns: Mapping[str, Any]) -> list[tuple[str, Any]]:
        own = zip(OWN, _own_types(), strict=True)
        return [*own, *columns.items(), *([(EXTRA, arrow().string())] if self._extra else [])]

    def _found(self, values: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
        """Return the columns of the first values: of what is None in all of them there is none yet."""
        found: dict[str, Any] = {}
        for cells in values:
            for name, cell in cells.items():
                kind = _type_of(cell)
                if kind is not None and (name not in found or (found[name], kind) == (_int(), _float())):
                    found[name] = kind
        return found

    def _placed(
        self, values: Sequence[Mapping[str, Any]], columns: Mapping[str, Any]
    ) -> tuple[list[Any], list[dict[str, Any]]]:
        """Return the arrays of the values' columns, and of each row what has no place there."""
        others: list[dict[str, Any]] = [{} for _ in values]
        names = tuple(columns)
        cells: Iterable[Sequence[Any]]
        if all(tuple(each) == names for each in values):  # most are, and are turned round in one call
            cells = zip(*(each.values() for each in values), strict=True)
        else:
            self._set_apart(values, columns, others)
            cells = [[each.get(name) for each in values] for name in names]
        arrays = []
        for (name, kind), column in zip(columns.items(), cells, strict=True):
            array = _array(column, kind)
            arrays.append(self._one_by_one(name, column, kind, others) if array is None else array)
        return arrays, others

    def _set_apart(
        self, values: Sequence[Mapping[str, Any]], columns: Mapping[str, Any], others: Sequence[dict[str, Any]]
    ) -> None:
        """Keep of each row what has no column."""
        for row, cells in zip(others, values, strict=True):
            if not cells.keys() <= columns.keys():
                row.update({name: cell for name, cell in cells.items() if name not in columns and cell is not None})
            if row and not self._extra:
                raise ValueError(
                    f"the file has no column {next(iter(row))!r}: give schema=… with all there are, into another file, "
                    "or extra=True for a column of those that have none"
                )

    def _one_by_one(self, name: str, cells: Sequence[Any], kind: Any, others: Sequence[dict[str, Any]]) -> Any:
        """Make an array of cells that are not all of its type as they are."""
        found = []
        for cell, row in zip(cells, others, strict=True):
            fitting = self._fitting(cell, kind)
            if fitting is None and cell is not None:
                if not self._extra:
                    raise ValueError(
                        f"the column {name!r} is of the type {kind}, and {told(cell)} is none: give schema=… with a "
                        "type that has both, into another file, or extra=True for a column of what does not fit"
                    )
                row[name] = cell
            found.append(fitting)
        return arrow().array(found, kind)

    def _fitting(self, cell: Any, kind: Any) -> Any:
        """Return a cell as its column may have it; None: not at all."""
        plain = _plain(cell)
        if plain is None or _array([plain], kind) is not None:
            return plain
        if not (arrow().types.is_string(kind) or arrow().types.is_large_string(kind)):
            return None
        if isinstance(plain, str):
            return _characters(plain)
        return None if isinstance(plain, bool | int | float | bytes) else self._json(plain)


def check_schema(schema: Any) -> None:
    """Refuse what is no schema that can be written.

    Raises:
        TypeError, ValueError: says what to write.
    """
    if not isinstance(schema, arrow().Schema):
        raise TypeError(
            f"schema= takes a schema of pyarrow, got {told(schema)}; write pyarrow.schema([('home', 'double')])"
        )
    names = list(schema.names)
    for name in names:
        if names.count(name) > 1 or name in {*OWN, EXTRA}:
            raise ValueError(
                f"schema= has the column {name!r}, which the file has itself, or twice: a field of that name is in the "
                f"column 'value.{name}'"
            )
    for field in schema:
        if _has_dictionary(field.type):
            raise ValueError(
                f"the column {field.name!r} is a dictionary; Parquet makes these itself: give it the type of its values"
            )


def _has_dictionary(kind: Any) -> bool:
    inner = [kind.field(number).type for number in range(kind.num_fields)]
    return bool(arrow().types.is_dictionary(kind)) or any(map(_has_dictionary, inner))


def _array(cells: Sequence[Any], kind: Any) -> Any:
    """Make an array of cells; None: not all of them are of its type, or would be the same when they are read."""
    types = arrow().types
    exact = next((allowed for is_one, allowed in _EXACT.items() if getattr(types, is_one)(kind)), None)
    if exact is not None and not {*map(type, cells)} <= exact:
        return None
    try:
        array = arrow().array(cells, kind)
    except _WRONG:
        return None
    is_short = types.is_floating(kind) and kind != _float()
    if (exact is None or is_short) and not all(map(_is_same, cells, array.to_pylist())):
        return None
    return array


_EXACT: dict[str, set[type]] = {
    "is_boolean": {bool, _NONE},
    "is_integer": {int, _NONE},
    "is_floating": {float, int, _NONE},
    "is_string": {str, _NONE},
    "is_large_string": {str, _NONE},
    "is_binary": {bytes, _NONE},
    "is_large_binary": {bytes, _NONE},
}
"""Of which classes the values of a column may be; of other columns, and short numbers, they are read and compared."""


def _is_same(given: Any, read: Any) -> bool:
    """Say whether a value is the same when it is read again."""
    if isinstance(given, Mapping) and isinstance(read, Mapping):
        return all(name in read and _is_same(each, read[name]) for name, each in given.items() if each is not None)
    if isinstance(given, list | tuple) and isinstance(read, list):
        return len(given) == len(read) and all(map(_is_same, given, read))
    if isinstance(given, float) and isinstance(read, float):
        # Of fewer digits, where the schema says so; but not of none.
        return math.isinf(given) == math.isinf(read) and (given == 0) == (read == 0)
    return bool(given == read) and isinstance(given, bool) == isinstance(read, bool)


def _type_of(cell: Any) -> Any:
    """Return the type of a column that begins with a value; None: it says nothing."""
    if cell is None:
        return None
    if isinstance(cell, bool):
        return arrow().bool_()
    if isinstance(cell, int):
        return _int()
    if isinstance(cell, float):
        return _float()
    return arrow().binary() if isinstance(cell, bytes) else arrow().string()


def _int() -> Any:
    return arrow().int64()


def _float() -> Any:
    return arrow().float64()


def _own_arrays(outcomes: Iterable[Outcome[Any]], parts: Iterable[Sequence[Part]], now: float) -> list[Any]:
    """Make the file's own columns."""
    rows = [(outcome, kind, error) for outcome, each in zip(outcomes, parts, strict=True) for kind, _, error in each]
    cells: list[list[Any]] = [
        [outcome.event.id for outcome, _, _ in rows],
        [outcome.platform for outcome, _, _ in rows],
        [kind for _, kind, _ in rows],
        [outcome.attempts for outcome, _, _ in rows],
        [round(outcome.elapsed, 6) for outcome, _, _ in rows],
        [round(now * 1000)] * len(rows),
        [error for _, _, error in rows],
    ]
    return [_own_array(each, kind) for each, kind in zip(cells, _own_types(), strict=True)]


def _own_array(cells: list[Any], kind: Any) -> Any:
    try:
        return arrow().array(cells, kind)
    except UnicodeEncodeError:
        return arrow().array(list(map(_characters, cells)), kind)


def _own_types() -> list[Any]:
    text = arrow().string()
    return [text, text, text, _int(), _float(), arrow().timestamp("ms", "UTC"), text]


def _plain(cell: Any) -> Any:
    """Return a text or a number as one of Python's own: an enumeration's member is one too."""
    if isinstance(cell, str):
        return str.__str__(cell)
    if isinstance(cell, int) and not isinstance(cell, bool):
        return int(cell)
    return float(cell) if isinstance(cell, float) else cell


def _characters(text: str | None) -> str | None:
    """Return a text of characters only, as UTF-8 has them."""
    return text if text is None or text.isascii() else written(text)

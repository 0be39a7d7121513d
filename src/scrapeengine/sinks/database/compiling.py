"""Rows into statements: of rows and the shapes of their tables alone, with no database at hand.

For each table, whatever the number of its rows:

    INSERT … SELECT … FROM the rows ON CONFLICT …        its rows, with the ids of what they refer to
    INSERT … SELECT … FROM the keys WHERE NOT EXISTS     those that others refer to, where they are not there
    SELECT count(*) FROM the keys JOIN …                 they are there now, and stay until the transaction ends

Ids are joined in by the database, and come through no program: so nothing here waits for an answer. `NOT EXISTS` is
there so that a key that is known takes no number of a sequence, and `DO NOTHING` behind it for what another one writes
at the same time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import attrs

from scrapeengine.model.urls import told
from scrapeengine.sinks.database.dialects import Dialect
from scrapeengine.sinks.database.rows import SqlRow
from scrapeengine.sinks.database.tables import SqlTable
from scrapeengine.sinks.database.values import Column, Limits, all_fit, checked

__all__ = ["Shape", "SqlStatement", "compile_rows"]


@attrs.frozen
class Shape:
    """A table as it is in the database."""

    table: SqlTable
    columns: Mapping[str, Column]
    """All columns that it has."""
    written: tuple[str, ...]
    """Those that are written; none: no rows of it are, but others refer to it."""
    primary: str = ""
    """The column by which others refer to its rows."""


class SqlStatement(NamedTuple):
    """One statement, for any connection of a driver of its database."""

    text: str
    """SQL, with marks for its parameters as the driver wants them: `?` for SQLite, else `%s`."""
    parameters: tuple[Any, ...]
    expected: int | None = None
    """Where it is a query: what the one column of its one row must have. Else something that is referred to is gone
    again, and the transaction is to be tried anew."""


Values = tuple[Any, ...]


@attrs.frozen
class TableRows:
    """The rows of one table, looked at."""

    shape: Shape
    rows: Sequence[Values]
    """Folded, and sorted by their keys; in place of an id the parts of a key."""
    origins: Sequence[SqlRow]
    """What each was."""


def compile_rows(
    rows: Iterable[SqlRow], shapes: Sequence[Shape], dialect: Dialect, quote: Callable[[str], str]
) -> list[SqlStatement]:
    """Return the statements that write rows, to be run in their order in one transaction.

    Of rows with one key the last is written.

    Args:
        rows: the rows.
        shapes: of all tables, in the order in which they are written (`ordered`).
        dialect: how the database wants it.
        quote: makes an identifier of a name.

    Raises:
        ValueError: a row cannot be written; says which, and which column.
    """
    by_table: dict[str, list[SqlRow]] = {}
    for row in rows:
        by_table.setdefault(row.table, []).append(row)
    known = {shape.table.name: shape for shape in shapes}
    wanted: dict[str, dict[Values, SqlRow]] = {}
    looked = {
        shape.table.name: _looked_at(shape, by_table[shape.table.name], known, dialect.limits, wanted)
        for shape in shapes
        if shape.table.name in by_table
    }
    writer = BatchWriter(known, dialect, quote)
    statements: list[SqlStatement] = []
    for shape in shapes:
        name = shape.table.name
        own = writer.upsert(looked[name]) if name in looked else ()
        keys = writer.ensure(shape, wanted[name]) if name in wanted else ()
        # A table that refers to itself needs what it refers to before; all others are whole where they have a row.
        statements += [*keys, *own] if name in shape.table.references.values() else [*own, *keys]
    return statements


def _looked_at(
    shape: Shape,
    rows: Sequence[SqlRow],
    known: Mapping[str, Shape],
    limits: Limits,
    wanted: dict[str, dict[Values, SqlRow]],
) -> TableRows:
    """Look at all rows of a table, column by column, and keep what they refer to.

    Args:
        shape: of the table.
        rows: its rows.
        known: all shapes.
        limits: what the database has not.
        wanted: for each table the keys that must be there; those that these rows refer to are added.
    """
    table = shape.table
    names = frozenset(shape.written)
    for row in rows:
        if row.values.keys() != names:
            _check_columns(row, shape)
    _check_written(rows[0], shape)
    found: dict[str, list[Sequence[Any]]] = {}
    for name in shape.written:
        given = [row.values.get(name) for row in rows]
        other = table.references.get(name)
        if other is None:
            found[name] = [_checked(rows, name, given, shape.columns[name], limits)]
        else:
            found[name], keys = _referred(rows, name, given, known[other], limits)
            wanted.setdefault(other, {}).update(keys)
    for name in table.key:
        for part in found[name]:
            if (place := _null_in(part)) is not None:
                raise ValueError(
                    f"{rows[place].shown()}, column {name}: it is of the key, and may not be NULL; give it a value"
                )
    # The last of each key: a later one takes the place of an earlier one.
    last = {
        key: place for place, key in enumerate(zip(*(part for name in table.key for part in found[name]), strict=True))
    }
    # Who writes the same rows waits for us then. Where the database takes more keys for one than are equal here, the
    # last of them is to be the last there.
    places = sorted(last.values()) if _is_loose(shape, known) else [last[key] for key in sorted(last)]
    values = list(zip(*(part for name in shape.written for part in found[name]), strict=True))
    return TableRows(shape, [values[place] for place in places], [rows[place] for place in places])


def _is_loose(shape: Shape, known: Mapping[str, Shape]) -> bool:
    """Say whether a database takes keys of a table for one that are not equal here."""
    references = shape.table.references
    return any(
        _is_loose(known[references[name]], known) if name in references else shape.columns[name].is_loose
        for name in shape.table.key
    )


def _null_in(values: Sequence[Any]) -> int | None:
    """Return the place of the first value that no key can have, since nothing is equal to it: None, or NaN."""
    if None not in values and not any(isinstance(each, float) and each != each for each in values):  # noqa: PLR0124
        return None
    return next(place for place, each in enumerate(values) if each is None or each != each)  # noqa: PLR0124


def _checked(rows: Sequence[SqlRow], name: str, given: Sequence[Any], column: Column, limits: Limits) -> Sequence[Any]:
    """Return what a column is to hold, row by row."""
    if all_fit(given, column, limits):
        return given
    found = []
    for row, value in zip(rows, given, strict=True):
        try:
            found.append(checked(value, column, limits))
        except ValueError as error:
            raise ValueError(f"{row.shown()}, column {name}: {error}") from error
    return found


def _referred(
    rows: Sequence[SqlRow], name: str, given: Sequence[Any], target: Shape, limits: Limits
) -> tuple[list[Sequence[Any]], dict[Values, SqlRow]]:
    """Return the keys that a column refers to, part by part, row by row; and each once, with a row that does."""
    columns = [target.columns[each] for each in target.table.key]
    nothing: Values = (None,) * len(columns)
    keys = [
        nothing if each is None else _key_of(row, name, each, target) for row, each in zip(rows, given, strict=True)
    ]
    parts = [
        _checked(rows, name, part, column, limits)
        for part, column in zip(zip(*keys, strict=True), columns, strict=True)
    ]
    once = dict(zip(zip(*parts, strict=True), rows, strict=True))
    once.pop(nothing, None)
    for key, row in once.items():
        if _null_in(key) is not None:
            raise ValueError(f"{row.shown()}, column {name}: a part of the key that it refers to is NULL")
    return parts, once


def _key_of(row: SqlRow, name: str, given: Any, target: Shape) -> Values:
    """Return the parts of a key that a row gives in place of an id, in the order in which the key has them."""
    key = target.table.key
    if len(key) == 1 and not isinstance(given, tuple | Mapping):
        return (given,)
    if isinstance(given, tuple) and len(given) == len(key):
        return given
    if isinstance(given, Mapping) and given.keys() == {*key}:
        return tuple(given[each] for each in key)
    raise ValueError(
        f"{row.shown()}, column {name}: it refers to {told(target.table.name)} by its key ({', '.join(key)}), got "
        f"{told(given)}; give it a tuple of these"
    )


def _check_written(row: SqlRow, shape: Shape) -> None:
    """Refuse a first row, by which it is what columns are written, that makes no sense."""
    if unknown := [name for name in shape.written if name not in shape.columns]:
        raise _unknown(row, unknown[0])
    if less := [name for name in shape.table.key if name not in shape.written]:
        raise ValueError(f"{row.shown()}, column {told(less[0])}: it is of the key, and the row lacks it; give it")


def _unknown(row: SqlRow, name: str) -> ValueError:
    return ValueError(
        f"{row.shown()}, column {told(name)}: the table has none of that name; add it, or leave it out; if the "
        f"table is made by its first rows, say it there by SqlTable(…, types={{{name!r}: str}})"
    )


def _check_columns(row: SqlRow, shape: Shape) -> None:
    """Refuse a row that has other columns than are written."""
    if more := [name for name in row.values if name not in shape.written]:
        if more[0] not in shape.columns:
            raise _unknown(row, more[0])
        raise ValueError(
            f"{row.shown()}, column {told(more[0])}: it is not written, for the first row had it not: give the table "
            "columns=[…] with all that there are"
        )
    if shape.table.columns is None:
        less = next(name for name in shape.written if name not in row.values)
        raise ValueError(
            f"{row.shown()}, column {told(less)}: the row lacks it, where the first one had it: give it None, or the "
            "table columns=[…], and NULL is written there"
        )


@attrs.frozen
class BatchWriter:
    """Writes the statements of one batch."""

    known: Mapping[str, Shape]
    dialect: Dialect
    quote: Callable[[str], str]

    def upsert(self, rows: TableRows) -> Iterator[SqlStatement]:
        """Return the statements that write the rows of one table."""
        shape, table = rows.shape, rows.shape.table
        sources: list[Column] = []
        values: list[str] = []
        joins = ""
        for place, name in enumerate(shape.written):
            if name in table.references:
                target = self.known[table.references[name]]
                alias, on = f"t{place}", self._same(target, f"t{place}", len(sources))
                joins += f" LEFT JOIN {self.quote(target.table.name)} {alias} ON {on}"
                values.append(f"{alias}.{self.quote(target.primary)}")
                sources += [target.columns[each] for each in target.table.key]
            else:
                column = shape.columns[name]
                values.append(self.dialect.taken(column, f"r__.c{len(sources)}"))
                sources.append(column)
        replaced = [name for name in shape.written if name not in table.key]
        text = self._insert(table, shape.written, values, f"{self.dialect.source(sources)}{joins} WHERE true", replaced)
        for _, parameters in self._parts(rows.rows, rows.origins):
            yield SqlStatement(text, parameters)

    def ensure(self, shape: Shape, keys: Mapping[Values, SqlRow]) -> Iterator[SqlStatement]:
        """Return the statements that see to it that rows of these keys are there."""
        table = shape.table
        columns = [shape.columns[name] for name in table.key]
        ordered = sorted(keys)
        source, name = self.dialect.source(columns), self.quote(table.name)
        same = self._same(shape, "t", 0)
        missing = f"{source} WHERE NOT EXISTS (SELECT 1 FROM {name} t WHERE {same})"
        values = [self.dialect.taken(column, f"r__.c{number}") for number, column in enumerate(columns)]
        insert = self._insert(table, table.key, values, missing, ())
        count = f"SELECT count(*) FROM (SELECT 1 FROM {source} JOIN {name} t ON {same}{self.dialect.shared}) found"
        for number, parameters in self._parts(ordered, [keys[key] for key in ordered]):
            yield SqlStatement(insert, parameters)
            yield SqlStatement(count, parameters, number)

    def _same(self, target: Shape, alias: str, first: int) -> str:
        """Return the condition that a row of a table is of the key that a source has, from its column `first` on."""
        return " AND ".join(
            f"{alias}.{self.quote(name)} = {self.dialect.taken(target.columns[name], f'r__.c{first + number}')}"
            for number, name in enumerate(target.table.key)
        )

    def _insert(
        self, table: SqlTable, columns: Sequence[str], values: Sequence[str], source: str, replaced: Sequence[str]
    ) -> str:
        name, quoted = self.quote(table.name), list(map(self.quote, columns))
        conflict = self.dialect.conflict(name, list(map(self.quote, table.key)), list(map(self.quote, replaced)))
        return (
            f"INSERT INTO {name} ({', '.join(quoted)}) SELECT {', '.join(values)} FROM {source}"
            f"{self.dialect.order}{conflict}"
        )

    def _parts(self, rows: Sequence[Values], origins: Sequence[SqlRow]) -> Iterator[tuple[int, tuple[Any, ...]]]:
        try:
            yield from self.dialect.parts(rows)
        except ValueError as error:
            if len(error.args) != 2:
                raise
            reason, number = error.args
            raise ValueError(f"{origins[number].shown()}: {reason}") from error

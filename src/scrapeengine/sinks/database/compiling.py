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
from itertools import chain
from typing import Any, NamedTuple

import attrs

from scrapeengine.model.urls import told
from scrapeengine.sinks.database.dialects import Dialect
from scrapeengine.sinks.database.rows import SqlRow
from scrapeengine.sinks.database.tables import SqlTable
from scrapeengine.sinks.database.values import Column, Limits, checked

__all__ = ["Shape", "SqlStatement", "compile_rows"]


@attrs.frozen
class Shape:
    """A table as it is in the database."""

    table: SqlTable
    columns: Mapping[str, Column]
    """All columns that it has."""
    written: tuple[str, ...]
    """Those that are written."""
    id: str = ""
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
    rows: Iterable[SqlRow],
    known: Mapping[str, Shape],
    limits: Limits,
    wanted: dict[str, dict[Values, SqlRow]],
) -> TableRows:
    """Look at all rows of a table, and keep what they refer to.

    Args:
        shape: of the table.
        rows: its rows.
        known: all shapes.
        limits: what the database has not.
        wanted: for each table the keys that must be there; those that these rows refer to are added.
    """
    table = shape.table
    names = frozenset(shape.written)
    folded: dict[Values, tuple[list[Values], SqlRow]] = {}
    readers = [_reader(shape, name, known, limits, wanted) for name in shape.written]
    places = [shape.written.index(name) for name in table.key]
    for row in rows:
        if row.values.keys() != names:
            _check_columns(row, shape)
        found = [read(row) for read in readers]
        key = tuple([found[place] for place in places])
        for name, part in zip(table.key, key, strict=True):
            if any(map(_is_null, part)):
                raise ValueError(
                    f"{row.shown()}, column {name}: it is of the key, and may not be NULL; give it a value"
                )
        folded[key] = found, row
    chosen = [folded[key] for key in sorted(folded)]
    return TableRows(shape, [tuple(chain.from_iterable(found)) for found, _ in chosen], [row for _, row in chosen])


def _is_null(value: Any) -> bool:
    """Say whether it is what no key can have: nothing is equal to it."""
    return value is None or value != value  # noqa: PLR0124 - so is NaN


Reader = Callable[[SqlRow], Values]
"""Reads one column of a row: what is sent for it, one value, or the key of what it refers to."""


def _reader(
    shape: Shape,
    name: str,
    known: Mapping[str, Shape],
    limits: Limits,
    wanted: dict[str, dict[Values, SqlRow]],
) -> Reader:
    other = shape.table.references.get(name)
    if other is None:
        column = shape.columns[name]
        return lambda row: (_value(row, name, row.values.get(name), column, limits),)
    target = known[other]
    parts = [target.columns[each] for each in target.table.key]
    keys = wanted.setdefault(other, {})
    nothing = (None,) * len(parts)

    def read(row: SqlRow) -> Values:
        given = row.values.get(name)
        if given is None:
            return nothing
        both = zip(_key_of(row, name, given, target), parts, strict=True)
        found = tuple([_value(row, name, each, column, limits) for each, column in both])
        if any(map(_is_null, found)):
            raise ValueError(f"{row.shown()}, column {name}: a part of the key that it refers to is NULL")
        keys.setdefault(found, row)
        return found

    return read


def _value(row: SqlRow, name: str, value: Any, column: Column, limits: Limits) -> Any:
    try:
        return checked(value, column, limits)
    except ValueError as error:
        raise ValueError(f"{row.shown()}, column {name}: {error}") from error


def _key_of(row: SqlRow, name: str, given: Any, target: Shape) -> Sequence[Any]:
    """Return the parts of a key that a row gives in place of an id, in the order in which the key has them."""
    key = target.table.key
    if isinstance(given, Mapping) and given.keys() == {*key}:
        return [given[each] for each in key]
    if isinstance(given, tuple) and len(given) == len(key):
        return given
    if len(key) == 1 and not isinstance(given, tuple | Mapping):
        return (given,)
    raise ValueError(
        f"{row.shown()}, column {name}: it refers to {told(target.table.name)} by its key ({', '.join(key)}), got "
        f"{told(given)}; give it a tuple of these"
    )


def _check_columns(row: SqlRow, shape: Shape) -> None:
    """Refuse a row that has other columns than are written."""
    if more := [name for name in row.values if name not in shape.written]:
        if more[0] not in shape.columns:
            raise ValueError(
                f"{row.shown()}, column {told(more[0])}: the table has none of that name; add it, or leave it out"
            )
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
                values.append(f"{alias}.{self.quote(target.id)}")
                sources += [target.columns[each] for each in target.table.key]
            else:
                column = shape.columns[name]
                values.append(self.dialect.taken(column, f"r.c{len(sources)}"))
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
        values = [self.dialect.taken(column, f"r.c{number}") for number, column in enumerate(columns)]
        insert = self._insert(table, table.key, values, missing, ())
        count = f"SELECT count(*) FROM (SELECT 1 FROM {source} JOIN {name} t ON {same}{self.dialect.shared}) found"
        for number, parameters in self._parts(ordered, [keys[key] for key in ordered]):
            yield SqlStatement(insert, parameters)
            yield SqlStatement(count, parameters, number)

    def _same(self, target: Shape, alias: str, first: int) -> str:
        """Return the condition that a row of a table is of the key that a source has, from its column `first` on."""
        return " AND ".join(
            f"{alias}.{self.quote(name)} = {self.dialect.taken(target.columns[name], f'r.c{first + number}')}"
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

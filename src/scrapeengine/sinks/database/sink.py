"""A sink that is tables of a database.

    outcomes ──> rows ──> statements ──> one transaction ──> acknowledge
                 rows.py  compiling.py   connections.py

A batch is one transaction. It is acknowledged once that is committed; who dies in between writes the same rows again,
by the same keys, which changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
from sqlalchemy.exc import DBAPIError

from scrapeengine.errors import SinkUnavailable
from scrapeengine.model.outcome import Outcome
from scrapeengine.model.sink import Acknowledge, SinkPolicy, SinkRun
from scrapeengine.sinks.database.compiling import Shape, compile_rows
from scrapeengine.sinks.database.connections import SqlConnections
from scrapeengine.sinks.database.dialects import Dialect
from scrapeengine.sinks.database.rows import RowsOf, SqlRow
from scrapeengine.sinks.database.schema import Types, make_tables, planned_shape, shape_of, types_of
from scrapeengine.sinks.database.tables import SqlTable
from scrapeengine.standstill import in_thread

__all__ = ["SqlSink", "SqlWriter"]


@attrs.define(eq=False)
class SqlWriter:
    """Writes rows into tables, in a thread."""

    _tables: Sequence[SqlTable]
    """In the order in which they are written."""
    _create: bool
    _connections: SqlConnections
    _dialect: Dialect | None = attrs.field(default=None, init=False)
    _shapes: dict[str, Shape] = attrs.field(factory=dict, init=False)
    _written: dict[str, tuple[str, ...]] = attrs.field(factory=dict, init=False)
    """The columns that are written of each table: those of its first row that was, where it does not say."""

    def open(self) -> None:
        """Connect."""
        if self._dialect is None:
            self._dialect = self._connections.open()

    def write(self, rows: Sequence[SqlRow]) -> None:
        """Write rows, all or none.

        Raises:
            ValueError: a row, or a table, is not as it would have to be.
            SinkUnavailable: what has failed passes by itself.
            sqlalchemy.exc.DBAPIError: the database refuses it.
        """
        if not rows:
            return
        assert self._dialect is not None
        try:
            shapes = self._shapes_for(rows)
            statements = compile_rows(rows, shapes, self._dialect, self._connections.quote)
            self._connections.run(statements)
            self._written |= {shape.table.name: shape.written for shape in shapes if shape.written}
        except Exception:
            self._shapes.clear()  # somebody may mend a table, and then it is tried again
            raise

    def _shapes_for(self, rows: Sequence[SqlRow]) -> list[Shape]:
        """Return the shapes of the tables of rows, and of those that they refer to."""
        first: dict[str, SqlRow] = {}
        for row in rows:
            first.setdefault(row.table, row)
        names = _with_what_they_refer_to({*first}, self._tables)
        wanted = [table for table in self._tables if table.name in names]
        written = {
            table.name: self._written.get(table.name) or table.columns or tuple(first[table.name].values)
            for table in wanted
            if table.name in first
        }
        if any(table.name not in self._shapes for table in wanted):
            self._look(wanted, rows, written)
        # That of a table that others refer to may be known before it has a row of its own.
        return [attrs.evolve(self._shapes[table.name], written=written.get(table.name, ())) for table in wanted]

    def _look(self, wanted: Sequence[SqlTable], rows: Sequence[SqlRow], written: Mapping[str, tuple[str, ...]]) -> None:
        referred = {name for table in self._tables for name in table.references.values()}

        def shapes() -> dict[str, Shape | None]:
            with self._connections.looking() as connection:
                return {
                    table.name: shape_of(
                        connection,
                        table,
                        written.get(table.name, ()),
                        is_referred=table.name in referred,
                    )
                    for table in wanted
                }

        found = shapes()
        if missing := [table for table in wanted if found[table.name] is None]:
            if not self._create:
                raise ValueError(f"there is no table {missing[0].name!r}: make it, or have it made with create=True")
            made = [(table, types_of(table, _first_rows(table, wanted, rows))) for table in missing]
            self._try(wanted, found, made, written, rows)
            try:
                with self._connections.looking() as connection:
                    make_tables(connection, made, referred)
            except DBAPIError as error:
                # Another process may make them at the same time: one by one in MariaDB.
                found = shapes()
                left = [table for table in missing if found[table.name] is None]
                if len(left) == len(missing):
                    raise
                if left:
                    raise SinkUnavailable("somebody else makes the tables now") from error
            else:
                found = shapes()
        self._shapes |= {name: shape for name, shape in found.items() if shape is not None}

    def _try(
        self,
        wanted: Sequence[SqlTable],
        found: Mapping[str, Shape | None],
        made: Sequence[tuple[SqlTable, Types]],
        written: Mapping[str, tuple[str, ...]],
        rows: Sequence[SqlRow],
    ) -> None:
        """Look at rows before tables are made for them, which stay: rows that are refused are to leave none."""
        assert self._dialect is not None
        shapes = {name: shape for name, shape in found.items() if shape is not None}
        referred = {name for table in wanted for name in table.references.values()}
        with self._connections.looking() as connection:
            for table, types in made:
                own = written.get(table.name, ())
                shapes[table.name] = planned_shape(connection, table, types, own, is_referred=table.name in referred)
        own_shapes = [attrs.evolve(shapes[table.name], written=written.get(table.name, ())) for table in wanted]
        compile_rows(rows, own_shapes, self._dialect, self._connections.quote)

    def close(self) -> None:
        """Close the connections."""
        self._connections.close()


def _with_what_they_refer_to(names: set[str], tables: Sequence[SqlTable]) -> set[str]:
    """Return names of tables, with those that they refer to, and that these do."""
    for table in reversed(tables):  # who refers comes after what it refers to
        if table.name in names:
            names = names | {*table.references.values()}
    return names


def _first_rows(table: SqlTable, tables: Sequence[SqlTable], rows: Sequence[SqlRow]) -> list[dict[str, Any]]:
    """Return what rows say of a table, and what others say of its key."""
    found = [dict(row.values) for row in rows if row.table == table.name]
    for other in tables:
        for column in (name for name, target in other.references.items() if target == table.name):
            for row in rows:
                key = row.values.get(column) if row.table == other.name else None
                if isinstance(key, dict):
                    found.append(key)
                elif key is not None:
                    found.append(dict(zip(table.key, key if isinstance(key, tuple) else (key,), strict=False)))
    return found


@attrs.define(eq=False)
class SqlSink:
    """Tables of a database. Implements `model.sink.Sink`; it keeps no position."""

    name: str
    policy: SinkPolicy
    _rows: RowsOf
    _writer: SqlWriter
    _now: Callable[[], float] | None = attrs.field(default=None, init=False)

    async def open(self, run: SinkRun) -> None:
        """Connect. Checkpoint. Once it is begun it is not cancelled.

        Raises:
            sqlalchemy.exc.DBAPIError: the database cannot be reached, or refuses.
            ValueError: it is not one of those that are known here.
        """
        self._now = run.now
        await in_thread(self._writer.open)

    async def recover(self) -> None:
        """Do nothing: what a dead process has not committed is not there. No checkpoint."""

    async def write(self, outcomes: list[Outcome[Any]]) -> None:
        """Write the rows of outcomes in one transaction.

        Checkpoint. Once it is begun it is not cancelled: when this returns, or raises, no connection is in use, and all
        of it is written, or nothing.

        Raises:
            SinkUnavailable: a deadlock, or a lost connection: it is to be tried again.
            ValueError: a row cannot be written; says which, and which column.
            sqlalchemy.exc.DBAPIError: the database refuses it.
        """
        assert self._now is not None
        now = self._now()
        rows = [row for outcome in outcomes for row in self._rows(outcome, now)]
        await in_thread(self._writer.write, rows)

    async def flush(self, acknowledge: Acknowledge) -> None:
        """Acknowledge what was written: it is committed."""
        await acknowledge()

    async def close(self) -> None:
        """Close the connections. Checkpoint."""
        await in_thread(self._writer.close)

    def __repr__(self) -> str:
        """Say its name."""
        return f"<SqlSink {self.name}>"

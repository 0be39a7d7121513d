"""The tables that a sink writes, as a program says them, and the order in which they are written."""

from __future__ import annotations

import datetime as dt
import decimal
import uuid
from collections.abc import Iterable, Mapping, Sequence

import attrs

from scrapeengine.model.urls import told

__all__ = ["TYPES", "SqlTable", "ordered"]

TYPES = (bool, int, float, decimal.Decimal, str, bytes, dt.datetime, dt.date, dt.time, uuid.UUID, dict, list)
"""What a column of a table that is made here may be of."""


def _names(given: str | Iterable[str]) -> tuple[str, ...]:
    """Take one name for a list of one."""
    return (given,) if isinstance(given, str) else tuple(given)


def _columns(given: str | Iterable[str] | None) -> tuple[str, ...] | None:
    return None if given is None else _names(given)


@attrs.frozen
class SqlTable:
    """One table of a database, for `se.sinks.sql`.

        SqlTable("events", key="number")
        SqlTable("prices", key=("event_id", "result"), references={"event_id": "events"})

    Raises:
        TypeError: a name is none.
        ValueError: it makes no sense; says what to write.
    """

    name: str
    """Its name, in the schema that the connection is in."""
    key: tuple[str, ...] = attrs.field(converter=_names)
    """The columns that tell one row from all others: who has the same is replaced. One name, or several."""
    references: Mapping[str, str] = attrs.field(factory=dict)
    """Columns that hold the id of a row of another table, each with that one's name. In its place a row has that row's
    key: a value, or a tuple of them, or a mapping, where the key is of several columns. A row that is not there yet is
    made, of its key alone: so its other columns are to take NULL, or have a default; None refers to nothing."""
    columns: tuple[str, ...] | None = attrs.field(default=None, converter=_columns, kw_only=True)
    """The columns that are written: one that a row lacks is NULL there. None: those of the first row, and each row has
    all of them."""
    types: Mapping[str, type] = attrs.field(factory=dict, kw_only=True)
    """Of what type columns are of a table that is made here: where the first rows do not say it, having None, or not
    having them yet, as where others refer to it first."""

    def __attrs_post_init__(self) -> None:
        """Refuse what makes no sense."""
        names = (self.name, *self.key, *self.references, *self.references.values(), *(self.columns or ()), *self.types)
        for name in names:
            if not isinstance(name, str) or not name or "\0" in name:
                raise TypeError(f"SqlTable takes names of tables and columns, got {told(name)}; write SqlTable('odds')")
        if not self.key or len(set(self.key)) < len(self.key):
            raise ValueError(
                f"table {told(self.name)} needs the columns that tell one row from all others, each once: write "
                "key=('event', 'bookmaker')"
            )
        if self.columns is not None and not {*self.key, *self.references} <= {*self.columns}:
            missing = sorted({*self.key, *self.references} - {*self.columns})
            raise ValueError(
                f"columns= of table {told(self.name)} lacks {', '.join(missing)}, of its key or references"
            )
        for column, type_ in self.types.items():
            if type_ not in TYPES:
                some = ", ".join(each.__name__ for each in TYPES)
                raise TypeError(f"the type of column {column} of table {told(self.name)} is to be one of {some}")


def ordered(tables: Sequence[SqlTable]) -> tuple[SqlTable, ...]:
    """Return tables in the order in which they are written: what is referred to comes before who refers to it.

    Raises:
        TypeError: they are no tables.
        ValueError: a table stands twice, is referred to and not there, or refers to itself by way of others.
    """
    if not isinstance(tables, Sequence) or not tables or not all(isinstance(each, SqlTable) for each in tables):
        raise TypeError(f"a sink takes a list of tables, got {told(tables)}; write [SqlTable('odds', key='event')]")
    known = {table.name: table for table in tables}
    if len(known) < len(tables):
        raise ValueError("a table is in the list twice: give it once, with all its columns")
    for table in tables:
        for column, name in table.references.items():
            if name not in known:
                raise ValueError(
                    f"column {column} of table {told(table.name)} refers to {told(name)}, which is not in the list: "
                    f"add SqlTable({name!r}, key=…)"
                )
            if inner := [each for each in known[name].key if each in known[name].references]:
                raise ValueError(
                    f"{told(name)} is referred to by its key, of which {inner[0]} is itself a reference: give it a key "
                    "of values of its own"
                )
    order: dict[str, SqlTable] = {}
    while len(order) < len(known):
        free = [
            table
            for name, table in known.items()
            if name not in order and {*table.references.values()} <= {*order, name}
        ]
        if not free:
            rest = ", ".join(sorted(known.keys() - order.keys()))
            raise ValueError(
                f"these tables refer to one another in a circle: {rest}; let one of them go in another sink"
            )
        order |= {table.name: table for table in free}
    return tuple(order.values())

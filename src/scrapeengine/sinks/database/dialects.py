"""How each database takes many rows in one statement, and what it does with those that are there already.

The rows of a statement are its source: a table `r__` of columns `c0`, `c1`, … and `n`, their number. PostgreSQL makes
it of an array for each column, SQLite and MariaDB of one text of JSON. So a statement is the same for one row and for a
thousand, which `VALUES (…), (…)` is not: it is another one for each number of rows, and 100,000 parameters fail.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, ClassVar, Protocol

from scrapeengine.sinks.database.values import Column, Kind, Limits

__all__ = ["Dialect", "MariaDb", "Postgres", "Sqlite"]

Quote = Callable[[str], str]


class Dialect(Protocol):
    """What is different from database to database."""

    limits: ClassVar[Limits]
    """What it has not."""
    order: ClassVar[str]
    """What has rows written in their order, so that of two who write the same rows one waits for the other."""
    shared: ClassVar[str]
    """What keeps others from deleting what a query has found, until the transaction ends."""

    def source(self, columns: Sequence[Column]) -> str:
        """Return the source of a statement, whose rows have values for these columns."""
        ...

    def taken(self, column: Column, name: str) -> str:
        """Return what makes the value of a column of that of a source."""
        ...

    def parts(self, rows: Sequence[Sequence[Any]]) -> Iterator[tuple[int, tuple[Any, ...]]]:
        """Return the parameters of a source, for as many statements as it takes, each with the number of its rows.

        Raises:
            ValueError: a row is too large; its second argument is the row's number.
        """
        ...

    def conflict(self, table: str, key: Sequence[str], replaced: Sequence[str]) -> str:
        """Return what follows where a row of this key is there already.

        Args:
            table: the table's name, quoted, as are all names here.
            key: the columns of the key.
            replaced: the columns that are set anew. None: the row is left as it is.
        """
        ...


_ARRAYS: Mapping[Kind, str] = {
    "boolean": "boolean",
    "integer": "bigint",
    "float": "double precision",
    "decimal": "numeric",
    "text": "text",
    "bytes": "bytea",
    "date": "date",
    "time": "time",
    "json": "text",
    "uuid": "text",
    "other": "text",
}
"""What PostgreSQL takes the values of a column for. Not for the column's own type: a cast to `numeric(10, 2)` rounds,
and one to `varchar(5)` cuts off, where an assignment fails."""


class Postgres:
    """PostgreSQL: an array for each column."""

    limits: ClassVar = Limits(nul=False, endless=True)
    order: ClassVar = " ORDER BY r__.n"
    shared: ClassVar = " FOR KEY SHARE OF t"

    def source(self, columns: Sequence[Column]) -> str:
        """See `Dialect`."""
        arrays = ", ".join(f"CAST(%s AS {self._type(column)}[])" for column in columns)
        names = ", ".join(f"c{number}" for number in range(len(columns)))
        return f"unnest({arrays}) WITH ORDINALITY AS r__({names}, n)"

    @staticmethod
    def _type(column: Column) -> str:
        if column.kind == "datetime":
            return "timestamptz" if column.aware else "timestamp"
        return _ARRAYS[column.kind]

    def taken(self, column: Column, name: str) -> str:
        """See `Dialect`."""
        return f"CAST({name} AS {column.cast or column.type})" if column.kind in {"json", "uuid", "other"} else name

    def parts(self, rows: Sequence[Sequence[Any]]) -> Iterator[tuple[int, tuple[Any, ...]]]:
        """See `Dialect`."""
        yield len(rows), tuple(map(list, zip(*rows, strict=True)))

    def conflict(self, table: str, key: Sequence[str], replaced: Sequence[str]) -> str:
        """See `Dialect`."""
        del table
        return _on_conflict(key, replaced)


def _on_conflict(key: Sequence[str], replaced: Sequence[str]) -> str:
    what = f"UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in replaced)}" if replaced else "NOTHING"
    return f" ON CONFLICT ({', '.join(key)}) DO {what}"


def _as_json(bytes_: Callable[[bytes], str]) -> Callable[[Any], Any]:
    """Return what makes JSON of what is a value of a column, and none of JSON."""

    def made(value: object) -> str:
        match value:
            case bytes():
                return bytes_(value)
            case Decimal():
                return format(value, "f")
            case dt.datetime():
                return value.isoformat(" ", "microseconds")
            case dt.time():
                return value.isoformat("microseconds")
            case _:
                assert isinstance(value, dt.date)
                return value.isoformat()

    return made


class Sqlite:
    """SQLite: one text of JSON."""

    limits: ClassVar = Limits(nul=False, endless=False, digits=15, json_integers=False)  # its JSON ends at a NUL
    order: ClassVar = ""  # one at a time writes there
    shared: ClassVar = ""

    def __init__(self) -> None:
        self._encode = json.JSONEncoder(
            separators=(",", ":"), ensure_ascii=False, check_circular=False, default=_as_json(bytes.hex)
        ).encode

    def source(self, columns: Sequence[Column]) -> str:
        """See `Dialect`."""
        values = ", ".join(f"json_extract(value, '$[{number}]') AS c{number}" for number in range(len(columns)))
        return f"(SELECT {values} FROM json_each(?)) AS r__"

    def taken(self, column: Column, name: str) -> str:
        """See `Dialect`."""
        return f"unhex({name})" if column.kind == "bytes" else name

    def parts(self, rows: Sequence[Sequence[Any]]) -> Iterator[tuple[int, tuple[Any, ...]]]:
        """See `Dialect`."""
        yield len(rows), (self._encode(rows),)

    def conflict(self, table: str, key: Sequence[str], replaced: Sequence[str]) -> str:
        """See `Dialect`."""
        del table
        return _on_conflict(key, replaced)


_JSON_COLUMNS: Mapping[Kind, str] = {"boolean": "tinyint", "integer": "decimal(20, 0)", "float": "double"}


class MariaDb:
    """MariaDB: texts of JSON, each below half of what the server takes at once."""

    limits: ClassVar = Limits(nul=True, endless=False)
    order: ClassVar = " ORDER BY r__.n"
    shared: ClassVar = " LOCK IN SHARE MODE"

    def __init__(self, most_bytes: int) -> None:
        """Make it.

        Args:
            most_bytes: `max_allowed_packet` of the server.
        """
        self._most = most_bytes // 2
        self._encode = json.JSONEncoder(
            separators=(",", ":"),
            ensure_ascii=False,
            check_circular=False,
            default=_as_json(lambda data: base64.b64encode(data).decode()),
        ).encode

    def source(self, columns: Sequence[Column]) -> str:
        """See `Dialect`."""
        values = "".join(
            f", c{number} {self._type(column)} PATH '$[{number}]' ERROR ON ERROR"
            for number, column in enumerate(columns)
        )
        return f"JSON_TABLE(%s, '$[*]' COLUMNS (n FOR ORDINALITY{values})) AS r__"

    @staticmethod
    def _type(column: Column) -> str:
        if column.kind == "decimal":
            return f"decimal({column.digits}, {column.scale})"
        # Of the collation of the column: by another one it could not be compared with it, or not by its index.
        own = column.collation if column.collation and column.collation.startswith("utf8mb4") else ""
        collation = f" COLLATE {own}" if own else ""
        return _JSON_COLUMNS.get(column.kind, f"longtext CHARACTER SET utf8mb4{collation}")

    def taken(self, column: Column, name: str) -> str:
        """See `Dialect`."""
        match column.kind:
            case "bytes":
                return f"from_base64({name})"
            case "text" | "json" | "uuid" | "other":
                # What is copied from column to column is cut off in silence; the value of an expression is checked.
                return f"concat({name})"
            case _:
                return name

    def parts(self, rows: Sequence[Sequence[Any]]) -> Iterator[tuple[int, tuple[Any, ...]]]:
        """See `Dialect`."""
        part: list[str] = []
        size = 0
        for number, row in enumerate(rows):
            text = self._encode(row)
            # The driver writes it into the statement: a backslash before each quote and each backslash.
            more = len(text.encode()) + text.count('"') + text.count("\\") + text.count("'") + 1
            if more > self._most:
                raise ValueError(
                    f"it is {more} bytes, and half of max_allowed_packet is {self._most}: raise that on the server",
                    number,
                )
            if size + more > self._most:
                yield len(part), (f"[{','.join(part)}]",)
                part, size = [], 0
            part.append(text)
            size += more
        yield len(part), (f"[{','.join(part)}]",)

    def conflict(self, table: str, key: Sequence[str], replaced: Sequence[str]) -> str:
        """See `Dialect`."""
        sets = [f"{name} = VALUES({name})" for name in replaced] or [f"{key[0]} = {table}.{key[0]}"]
        return f" ON DUPLICATE KEY UPDATE {', '.join(sets)}"

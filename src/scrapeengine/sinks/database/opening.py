"""Sinks of databases, made of what a program writes."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

from scrapeengine.model.checks import number
from scrapeengine.model.sink import Sink, SinkPolicy
from scrapeengine.model.urls import told
from scrapeengine.sinks.database.rows import OUTCOME_KEY, OUTCOME_TYPES, SqlRows, rows_by
from scrapeengine.sinks.database.tables import SqlTable, ordered

__all__ = ["sql", "table_sink"]

_DRIVERS = {
    "sqlite": "sqlite+pysqlite",
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "mariadb": "mariadb+pymysql",
}
"""What URLs begin with, and the drivers for it."""
_MISSING = "a sink in a database needs SQLAlchemy and a driver: pip install 'scrapeengine[sql]'"


def sql(
    url: Any,
    tables: Sequence[SqlTable],
    rows: SqlRows | None,
    *,
    name: str | None = None,
    create: bool = False,
    timeout: float = 30.0,
    **policy: Any,
) -> Sink[Any]:
    """Make a sink of tables of a database: SQLite, PostgreSQL or MariaDB.

        tables = [
            SqlTable("events", key="number"),
            SqlTable("prices", key=("event_id", "result"), references={"event_id": "events"}),
        ]

        def rows(outcome):
            if isinstance(outcome, se.Success):
                for result, price in outcome.value.items():
                    yield "prices", {"event_id": outcome.event.id, "result": result, "price": price}

        sinks=[se.sinks.sql("postgresql://me@localhost/odds", tables, rows, create=True)]

    A batch is one transaction, of a number of statements that does not depend on the number of its rows. A row whose
    key is there replaces that row; of those of one key in a batch the last one counts. Values are written so that they
    are read as they were, or are refused with an error that names row and column. Times are kept as of UTC.

    A deadlock or a lost connection is tried again for `patience` seconds, whatever `on_error` says. With a store a
    batch may be written twice, after a crash, and is there once, by its keys.

    Args:
        url: `sqlite:///odds.db`, `postgresql://user:password@host/database`, `mariadb://…`; or SQLAlchemy's `URL`, for
            passwords with all characters.
        tables: the tables.
        rows: makes rows of an outcome: pairs of a table's name and a mapping of columns to values; without the name
            where there is one table. Or for one table a mapping, of each column to a field of the value, or of the
            item, or to a function of the outcome; or None, for a row of each outcome, as `open` writes.
        name: by which a store knows the sink; None: the name of the first table.
        create: whether tables that are not there are made, by the first rows.
        timeout: seconds for which the database may take for an answer; a second more, and its connection is closed. A
            run that is stopped waits for it.
        **policy: the fields of `SinkPolicy`: `size`, `linger`, `on_error`, `patience`, `aside`.

    Raises:
        TypeError, ValueError: something makes no sense; says what to write.
        ImportError: SQLAlchemy, or the driver, is not installed.
    """
    order = ordered(tables)
    parsed = _parsed(url)
    made = rows_by(rows, order)
    module, connections = _module("sink"), _module("connections")
    try:
        opened = connections.SqlConnections(parsed, number(timeout, "sql(timeout=…)"))
    except ModuleNotFoundError as error:
        raise ImportError(_MISSING) from error
    sink: Sink[Any] = module.SqlSink(
        name or tables[0].name, SinkPolicy(**policy), made, module.SqlWriter(order, create, opened)
    )
    return sink


def table_sink(
    url: str,
    *,
    key: str | Sequence[str] | None = None,
    rows: SqlRows | None = None,
    columns: Sequence[str] | None = None,
    types: dict[str, type] | None = None,
    **options: Any,
) -> Sink[Any]:
    """Make a sink of one table, named at the end of a URL; documented as `open`.

    Raises:
        TypeError, ValueError: something makes no sense; says what to write.
        ImportError: SQLAlchemy, or the driver, is not installed.
    """
    parsed = _parsed(url)
    database, _, name = (parsed.database or "").rpartition("/")
    if not database or not name:
        raise ValueError(
            f"{told(url)} names no table: write its name behind that of the database, as in "
            "postgresql://localhost/odds/prices or sqlite:///odds.db/prices"
        )
    if rows is None and (key is not None or columns is not None):
        raise ValueError("key= and columns= are for rows of your own: give rows= too")
    if rows is not None and key is None:
        raise ValueError("rows of your own need key=…, the columns that tell one row from all others")
    table = SqlTable(
        name,
        key if key is not None else OUTCOME_KEY,  # pyright: ignore[reportArgumentType]
        columns=columns,  # pyright: ignore[reportArgumentType]
        types={**OUTCOME_TYPES, **(types or {})} if rows is None else types or {},
    )
    return sql(parsed.set(database=database), [table], rows, **{"create": True, **options})


def _module(name: str) -> Any:
    try:
        return importlib.import_module(f"scrapeengine.sinks.database.{name}")
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.partition(".")[0] == "scrapeengine":
            raise
        raise ImportError(_MISSING) from error


def _parsed(url: Any) -> Any:
    """Return a URL with the driver that is used here."""
    try:
        library: Any = importlib.import_module("sqlalchemy")
    except ModuleNotFoundError as error:
        raise ImportError(_MISSING) from error
    try:
        parsed = library.make_url(url)
    except (library.exc.ArgumentError, ValueError):
        # What is said there may be a part of the password: of one with a colon or an @ it takes that for a port.
        told_name = "what is given" if "@" in str(url) else told(url)
        raise ValueError(
            f"{told_name} is no URL of a database: write sqlite:///odds.db or "
            "postgresql://user@host/database, or SQLAlchemy's URL.create(…) for a password with an @ in it"
        ) from None
    kind, _, driver = parsed.drivername.partition("+")
    known = _DRIVERS.get(kind, "")
    if not known or driver not in {"", known.partition("+")[2]}:
        raise ValueError(
            f"a sink does not write to {told(parsed.drivername)}: write sqlite:///…, postgresql://… or mariadb://…"
        )
    if kind == "sqlite" and parsed.database in {None, "", ":memory:"}:
        raise ValueError("what is written to a SQLite in memory is gone: name a file, as in sqlite:///odds.db")
    if kind == "sqlite" and (parsed.host or parsed.username or parsed.password):
        raise ValueError("a SQLite is a file, and has no host: write three slashes, as in sqlite:///odds.db")
    return parsed.set(drivername=known)

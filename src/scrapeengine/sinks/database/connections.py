"""The connections of a sink: opened, given statements, and closed; and which of their errors pass by themselves."""

from __future__ import annotations

import os
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError

from scrapeengine.errors import SinkUnavailable
from scrapeengine.sinks.database.compiling import SqlStatement
from scrapeengine.sinks.database.dialects import Dialect, MariaDb, Postgres, Sqlite

__all__ = ["SqlConnections"]

_STATES = ("08", "40", "53", "55P03", "57")
"""Beginnings of the states of PostgreSQL that pass: a lost connection, a deadlock, no room, a lock, a shutdown."""
_NUMBERS = {1040, 1053, 1203, 1205, 1213, 1226, 1927, 1969, 2002, 2003, 2006, 2013, 2014, 2055, 4031}
"""The same of MariaDB and its driver: too many connections, a shutdown, a lock, a deadlock, lost connections, time."""
_CODES = {5, 6}
"""The same of SQLite: SQLITE_BUSY, SQLITE_LOCKED."""
_MARGIN = 1
"""Seconds that the server has beyond the timeout, to say itself that it was too long."""
_MOMENTARY = ("starting up", "shutting down", "too many", "connection slots", "recovery", "not accepting", "not yet")
"""What a PostgreSQL says that refuses a connection for the moment only."""


class SqlConnections:
    """SqlConnections to one database. All calls are made in a thread, one after the other."""

    def __init__(self, url: sa.URL, timeout: float) -> None:
        """Make it. Nothing is connected yet.

        Args:
            url: of the database, with its driver.
            timeout: seconds for which an answer is waited for.
        """
        self._kind = url.get_backend_name()
        options: dict[str, Any] = {} if self._kind == "sqlite" else {"isolation_level": "READ COMMITTED"}
        # One is enough, for there is one batch at a time; where the server has gone it is made anew.
        self._engine = sa.create_engine(
            url,
            pool_size=1,
            max_overflow=0,
            hide_parameters=True,
            connect_args=_arguments(self._kind, timeout),
            **options,
        )
        if self._kind != "sqlite":
            # Before SQLAlchemy itself asks for anything.
            event.listen(self._engine, "connect", _prepared(self._kind, timeout), insert=True)

    def open(self) -> Dialect:
        """Connect for the first time, and return how the database wants it.

        Raises:
            SinkUnavailable: it cannot be reached now.
            sqlalchemy.exc.DBAPIError: it refuses, or there is no such database.
            ValueError: it is a server that is not known here, or too old.
        """
        with _translated(at_first=True), self._engine.connect() as connection:
            match self._kind:
                case "postgresql":
                    return Postgres()
                case "sqlite":
                    return Sqlite()
                case _:
                    dialect: Any = connection.dialect
                    if not dialect.is_mariadb or dialect.server_version_info < (10, 6):
                        raise ValueError(
                            "the sink writes to MariaDB, from 10.6 on, which has JSON_TABLE as it needs it"
                        )
                    most = connection.exec_driver_sql("SELECT @@max_allowed_packet").scalar_one()
                    return MariaDb(int(most))

    def quote(self, name: str) -> str:
        """Return a name as an identifier."""
        return self._engine.dialect.identifier_preparer.quote_identifier(name)

    @contextmanager
    def looking(self) -> Iterator[sa.Connection]:
        """Look at tables, or make some.

        Raises:
            SinkUnavailable: what has failed passes by itself.
        """
        with _translated(), self._engine.begin() as connection:
            yield connection

    def run(self, statements: Sequence[SqlStatement]) -> None:
        """Run statements in one transaction. What raises has done nothing, and no connection is left in use.

        Raises:
            SinkUnavailable: what has failed passes by itself.
            sqlalchemy.exc.DBAPIError: the database refuses it.
        """
        with _translated(), self._transaction() as connection:
            for text, parameters, expected in statements:
                result = connection.exec_driver_sql(text, parameters)
                if expected is not None and result.scalar_one() != expected:
                    raise SinkUnavailable("rows were deleted while others that refer to them were written")

    @contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        if self._kind != "sqlite":
            with self._engine.begin() as connection:
                yield connection
            return
        # Python's driver begins by itself, and DEFERRED: who has read by then, and not written, may not be let to wait.
        with self._engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT")
            driver: Any = connection.connection.dbapi_connection
            if sqlite3.sqlite_version_info < (3, 41):  # which has it itself
                driver.create_function("unhex", 1, _unhex, deterministic=True)
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.exec_driver_sql("COMMIT")
            finally:
                if driver.in_transaction:
                    driver.rollback()

    def close(self) -> None:
        """Close all."""
        self._engine.dispose()


def _unhex(text: str | None) -> bytes | None:
    return None if text is None else bytes.fromhex(text)


def _arguments(kind: str, timeout: float) -> dict[str, Any]:
    """Return what a driver is given, so that it waits for no answer for ever."""
    whole = max(1, round(timeout))
    match kind:
        case "sqlite":
            return {"timeout": timeout}
        case "postgresql":
            return {"connect_timeout": max(2, whole), "tcp_user_timeout": whole * 1000}
        case _:
            # The server is to give up first: then the connection is as good as before.
            return {
                "connect_timeout": whole,
                "read_timeout": whole + _MARGIN,
                "write_timeout": whole,
                "charset": "utf8mb4",
            }


def _prepared(kind: str, timeout: float) -> Callable[[Any, Any], None]:
    """Return what makes a new connection ready."""
    statement = (
        f"SET statement_timeout = {max(1, round(timeout * 1000))}"
        if kind == "postgresql"
        # Else it cuts off what does not fit, and takes a 0 for the next number; times are of UTC here. And it would go
        # on with what nobody waits for any more, and hold its locks.
        else "SET SESSION sql_mode = CONCAT(@@sql_mode, ',STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO'), "
        f"time_zone = '+00:00', max_statement_time = {max(0.001, timeout):f}, "
        f"innodb_lock_wait_timeout = {max(1, round(timeout))}"
    )

    def prepare(connection: Any, _: Any) -> None:
        if kind == "postgresql":
            connection.wait = _bounded(connection, timeout + _MARGIN)
        with connection.cursor() as cursor:
            cursor.execute(statement)
        connection.commit()

    return prepare


def _bounded(connection: Any, seconds: float) -> Callable[..., Any]:
    """Return what a connection of psycopg waits by, for no longer than that: then its socket is shut.

    The limits that the server is given are nothing to one that stands still, and libpq has none of its own for that.
    """
    plain = connection.wait

    def wait(*arguments: Any, **options: Any) -> Any:
        lock = threading.Lock()
        has_answered = False

        def shut() -> None:
            with lock:
                if not has_answered:
                    with socket.socket(fileno=os.dup(connection.pgconn.socket)) as end, suppress(OSError):
                        end.shutdown(socket.SHUT_RDWR)

        timer = threading.Timer(seconds, shut)
        timer.daemon = True
        timer.start()
        try:
            return plain(*arguments, **options)
        finally:
            timer.cancel()
            with lock:  # its number may be another one's afterwards
                has_answered = True

    return wait


@contextmanager
def _translated(*, at_first: bool = False) -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        if at_first and _refuses(error.orig):
            raise
        if error.connection_invalidated or _passes(error.orig):
            raise SinkUnavailable(f"the database could not take it now: {_said(error)}") from error
        raise


def _passes(error: Any) -> bool:
    """Say whether what a driver has raised is of the moment."""
    if hasattr(error, "sqlite_errorcode"):
        return error.sqlite_errorcode & 0xFF in _CODES
    number = error.args[0] if getattr(error, "args", ()) else None
    if isinstance(number, int):  # as MariaDB's driver has it, of which some versions have states too, coarse ones
        return number in _NUMBERS or (number == 0 and _is_a(error, "InterfaceError"))
    state = getattr(error, "sqlstate", "")
    # Who has no connection has no state.
    return _is_a(error, "OperationalError") if state is None else state.startswith(_STATES)


def _refuses(error: Any) -> bool:
    """Say whether a PostgreSQL is there, and has refused the connection for good: a wrong name, or password.

    Its driver has no state for that, so it is told by the text. That may be in another language: then it passes for the
    moment's, as it does where a connection is made anew.
    """
    text = str(error)
    return hasattr(error, "sqlstate") and "FATAL:" in text and not any(each in text for each in _MOMENTARY)


def _is_a(error: object, name: str) -> bool:
    """Say whether an error is of a class of this name, which each driver has for itself, or of one below it."""
    return any(each.__name__ == name for each in type(error).__mro__)


def _said(error: DBAPIError) -> str:
    return str(error.orig).partition("\n")[0] or type(error.orig).__name__

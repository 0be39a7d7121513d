"""What is unique in a table, and whether a database takes two keys for one that are not equal here.

Rows of one batch are folded by their keys before a database sees them, and it is asked for each key by that alone. So a
key is of whole columns. Where a database is less exact (`a` and `A`, in most collations of MariaDB), the rows come in
the order in which they were made, so that the last one counts there too; where it would refuse that, or look for other
rows than it replaces, such a key is refused.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import attrs
import sqlalchemy as sa

from scrapeengine.model.urls import told
from scrapeengine.sinks.database.tables import SqlTable
from scrapeengine.sinks.database.values import Column

__all__ = ["UniqueKey", "check_key", "of_postgresql", "unique_keys"]


@attrs.frozen
class UniqueKey:
    """Columns of which no two rows of a table have the same values."""

    columns: frozenset[str]
    shown: str
    """As a program may read it."""
    whole: bool = True
    """Whether these are told apart by all that is in them."""


def unique_keys(connection: sa.Connection, name: str) -> list[UniqueKey]:
    """Return what is unique in a table, for all of its rows, and by columns alone.

    Args:
        connection: to the database.
        name: of the table, which is there.
    """
    primary = sa.inspect(connection).get_pk_constraint(name)["constrained_columns"]
    found = [_whole(primary)] if primary else []
    match connection.dialect.name:
        case "sqlite":
            parts = _of_sqlite(connection, name)
        case "mariadb":
            parts = _of_mariadb(connection, name)
        case _:
            return [*found, *map(_whole, _of_postgresql(connection, name))]
    if any({*primary} == {*columns} for columns in parts):  # an integer that is the number of its row is in no index
        found = []
    return [*found, *(_key(columns) for columns in parts)]


def _whole(names: Collection[str]) -> UniqueKey:
    return UniqueKey(frozenset(names), ", ".join(names))


def _key(columns: Mapping[str, str]) -> UniqueKey:
    shown = ", ".join(f"{name}{suffix}" for name, suffix in columns.items())
    return UniqueKey(frozenset(columns), shown, not any(columns.values()))


def _of_sqlite(connection: sa.Connection, name: str) -> list[dict[str, str]]:
    """Return the columns of unique indexes, each with its collation, if it has one."""
    found = []
    for _, index, is_unique, _, is_partial in connection.exec_driver_sql("SELECT * FROM pragma_index_list(?)", (name,)):
        every = connection.exec_driver_sql("SELECT * FROM pragma_index_xinfo(?)", (index,))
        columns = [(column, collation) for _, _, column, _, collation, is_key in every if is_key]
        if is_unique and not is_partial and all(column is not None for column, _ in columns):
            found.append(
                {
                    column: "" if collation.upper() == "BINARY" else f" COLLATE {collation}"
                    for column, collation in columns
                }
            )
    return found


def _of_mariadb(connection: sa.Connection, name: str) -> list[dict[str, str]]:
    """Return the columns of unique indexes, each with how much of it counts, if that is not all."""
    found: dict[str, dict[str, str]] = {}
    for index, column, length in connection.execute(_STATISTICS, {"name": name}):
        found.setdefault(index, {})[column] = "" if length is None else f"({length})"
    return list(found.values())


_STATISTICS = sa.text(
    "SELECT index_name, column_name, sub_part FROM information_schema.statistics "
    "WHERE table_schema = database() AND table_name = :name AND non_unique = 0 ORDER BY index_name, seq_in_index"
)


def _of_postgresql(connection: sa.Connection, name: str) -> Iterator[list[str]]:
    inspector = sa.inspect(connection)
    for constraint in inspector.get_unique_constraints(name):
        yield constraint["column_names"]
    for index in inspector.get_indexes(name):
        options = index.get("dialect_options", {})
        is_partial = any(each.endswith("_where") and value is not None for each, value in options.items())
        names = [each for each in index["column_names"] if each is not None]
        if index["unique"] and not is_partial and len(names) == len(index["column_names"]):
            yield names


def of_postgresql(connection: sa.Connection, name: str) -> dict[str, tuple[str, bool, int]]:
    """Return what SQLAlchemy does not say of the columns of a table of PostgreSQL.

    Returns:
        For each column its type without its length, that of a domain being what it is of; whether it is of texts that
        are not compared by all that is in them; and the modifier that a domain gives its type, or -1.
    """
    return {
        name: (plain, bool(loose), modifier)
        for name, plain, loose, modifier in connection.execute(_TYPES, {"name": name})
    }


_TYPES = sa.text(
    "WITH RECURSIVE types AS (SELECT a.attname, t.*, a.attcollation, t.typtypmod AS modifier FROM pg_attribute a "
    "JOIN pg_type t ON t.oid = a.atttypid WHERE a.attrelid = to_regclass(quote_ident(:name)) "
    "AND a.attnum > 0 AND NOT a.attisdropped "
    "UNION ALL SELECT d.attname, t.*, d.attcollation, greatest(d.modifier, t.typtypmod) "
    "FROM types d JOIN pg_type t ON t.oid = d.typbasetype "
    "WHERE d.typtype = 'd') SELECT attname, format_type(types.oid, -1), typname = 'citext' OR NOT collisdeterministic, "
    "modifier FROM types LEFT JOIN pg_collation c ON c.oid = attcollation WHERE typtype <> 'd'"
)


def check_key(table: SqlTable, columns: Mapping[str, Column], unique: Collection[UniqueKey], dialect: str) -> None:
    """Refuse a table whose rows are not told apart by its key.

    Raises:
        ValueError: says which, and what to do.
    """
    listed = ", ".join(table.key)
    own = [each for each in unique if each.columns == {*table.key}]
    if not own:
        raise ValueError(
            f"table {told(table.name)} may have many rows of one key ({listed}): make that unique, by "
            f"CREATE UNIQUE INDEX {table.name}_key ON {table.name} ({listed})"
        )
    if parts := [each for each in own if not each.whole]:
        raise ValueError(
            f"table {told(table.name)} takes different keys ({listed}) for one, by its unique index "
            f"({parts[0].shown}): make one of the whole columns in its place, without a "
            "collation or a length of its own"
        )
    for name in table.key:
        column: Any = columns[name]
        if column.kind == "json":
            raise ValueError(
                f"column {name} of the key of table {told(table.name)} is JSON, which is no key: use a text"
            )
        if column.is_loose and dialect == "postgresql":
            raise ValueError(
                f"column {name} of the key of table {told(table.name)} is of {column.type}, of which some values are "
                "the same that are written differently: make it text, of a collation that is deterministic"
            )

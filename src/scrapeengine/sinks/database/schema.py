"""Tables as they are in a database: what their columns hold, what is unique; and how they are made."""

from __future__ import annotations

import datetime as dt
import decimal
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import attrs
import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.exc import CompileError

from scrapeengine.model.urls import told
from scrapeengine.sinks.database.compiling import Shape
from scrapeengine.sinks.database.keys import UniqueKey, check_key, of_postgresql, unique_keys
from scrapeengine.sinks.database.tables import TYPES, SqlTable
from scrapeengine.sinks.database.values import Column, Kind

__all__ = ["make_tables", "planned_shape", "shape_of", "types_of"]

_LONGEST_KEY = 255
"""Characters of a text of a key in MariaDB: an index holds 3,072 bytes, four for each of these."""
_BITS = {"TINYINT": 8, "SMALLINT": 16, "MEDIUMINT": 24, "INTEGER": 32}
_SIZES = {
    f"{size}{name}": 2**bits - 1 for size, bits in (("TINY", 8), ("", 16), ("MEDIUM", 24)) for name in ("TEXT", "BLOB")
}
"""Bytes that these types of MariaDB hold, which does not say so of their columns."""
_ID = "id"
_EXACT = "utf8mb4_nopad_bin"
"""The collation of MariaDB in which texts are the same only where they are, blanks at their ends included."""
_BINARY = (sa.LargeBinary, sa.VARBINARY, sa.BINARY, mysql.TINYBLOB, mysql.MEDIUMBLOB, mysql.LONGBLOB)

Types = Mapping[str, type | None]
"""Of what type columns are; None: it refers to another table."""


def types_of(table: SqlTable, rows: Sequence[Mapping[str, Any]]) -> Types:
    """Return of what type the columns of a table are to be.

    Args:
        table: the table.
        rows: its first rows; for one that is only referred to, the keys by which it is.

    Raises:
        ValueError: the rows do not say it.
    """
    found: dict[str, type | None] = {}
    said = dict.fromkeys((*(name for row in rows for name in row), *table.references, *table.types))
    for name in table.columns or (*table.key, *(name for name in said if name not in table.key)):
        values = [row[name] for row in rows if row.get(name) is not None]
        found[name] = None if name in table.references else table.types.get(name) or _common([*map(_plain, values)])
        if found[name] is None and name not in table.references:
            raise ValueError(
                f"column {told(name)} of table {told(table.name)} is to be made, and the first rows do not say of what "
                f"type: write SqlTable(…, types={{{name!r}: float}}), or make the table yourself"
            )
    return found


_WIDER: tuple[tuple[set[type | None], type], ...] = (
    ({bool, int}, int),
    ({int, float}, float),
    ({bool, int, float, decimal.Decimal}, decimal.Decimal),
    ({dict, list}, dict),
)
"""Of what type a column is that is to hold values of several types."""


def _common(types: Sequence[type | None]) -> type | None:
    """Return the type of a column for values of these types: where there is none for all, that of the first one."""
    found = next((wider for some, wider in _WIDER if {*types} <= some), None)
    if not types:
        return None
    return types[0] if found is None or {*types} == {types[0]} else found


def _plain(value: object) -> type | None:
    """Return the type of a value, as one of those that columns are made of."""
    if isinstance(value, bytearray | memoryview):
        return bytes
    return list if isinstance(value, tuple) else next((each for each in TYPES if isinstance(value, each)), None)


def make_tables(
    connection: sa.Connection, missing: Sequence[tuple[SqlTable, Types]], referred: Collection[str]
) -> None:
    """Make tables that are not there. One that is referred to has a column `id` of its own.

    Args:
        connection: to the database.
        missing: those that are to be made, what is referred to first, with the types of their columns.
        referred: the names of those that are referred to.
    """
    metadata = sa.MetaData()
    for table, types in missing:
        for name in table.references.values():
            if name not in metadata.tables and name != table.name:
                sa.Table(name, metadata, autoload_with=connection)
        parts = list(_parts(metadata, table, types, connection.dialect.name, has_id=table.name in referred))
        # Of a collation that takes two texts for one where they are the same, and only there.
        sa.Table(
            table.name,
            metadata,
            *parts,
            mariadb_engine="InnoDB",
            mariadb_charset="utf8mb4",
            mariadb_collate=_EXACT,
        )
    metadata.create_all(connection)


def _parts(
    metadata: sa.MetaData, table: SqlTable, types: Types, dialect: str, *, has_id: bool
) -> Iterator[sa.schema.SchemaItem]:
    if has_id:
        yield sa.Column(_ID, sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True)
    for name, type_ in types.items():
        of_key = name in table.key
        if type_ is not None:
            yield sa.Column(name, _type(type_, dialect, of_key=of_key), nullable=not of_key, autoincrement=False)
        elif table.references[name] == table.name:
            yield sa.Column(name, sa.BigInteger(), sa.ForeignKey(f"{table.name}.{_ID}"), nullable=not of_key)
        else:
            (target,) = metadata.tables[table.references[name]].primary_key.columns
            yield sa.Column(name, target.type, sa.ForeignKey(target), nullable=not of_key)
    yield sa.UniqueConstraint(*table.key) if has_id else sa.PrimaryKeyConstraint(*table.key)


def planned_shape(
    connection: sa.Connection, table: SqlTable, types: Types, written: Sequence[str], *, is_referred: bool
) -> Shape:
    """Return a table as it is going to be, for rows to be looked at before it is made.

    Args:
        connection: to the database.
        table: the table.
        types: of its columns.
        written: the columns that are written.
        is_referred: whether others refer to it.
    """
    dialect = connection.dialect
    collation = _EXACT if dialect.name == "mariadb" else None
    columns = {
        name: _column(
            name,
            sa.BigInteger() if type_ is None else _type(type_, dialect.name, of_key=name in table.key),
            dialect,
            collation,
            type_ in {dict, list},
        )
        for name, type_ in types.items()
    }
    return Shape(table, columns, tuple(written), _ID if is_referred else "")


def _type(type_: type, dialect: str, *, of_key: bool) -> sa.types.TypeEngine[Any]:
    """Return the type of a column, in which what is of a type is read as it was written."""
    if dialect == "mariadb":
        made: dict[type, sa.types.TypeEngine[Any]] = {
            str: sa.String(_LONGEST_KEY) if of_key else mysql.LONGTEXT(),
            bytes: sa.VARBINARY(_LONGEST_KEY) if of_key else mysql.LONGBLOB(),
            decimal.Decimal: sa.Numeric(38, 10),
            dt.datetime: mysql.DATETIME(fsp=6),
            dt.time: mysql.TIME(fsp=6),
        }
        if type_ in made:
            return made[type_]
    if type_ in {dict, list}:
        return postgresql.JSONB() if dialect == "postgresql" else sa.JSON()
    if type_ is uuid.UUID:
        return postgresql.UUID() if dialect == "postgresql" else sa.String(36)
    plain: dict[type, sa.types.TypeEngine[Any]] = {
        bool: sa.Boolean(),
        int: sa.BigInteger(),
        float: sa.Double(),
        decimal.Decimal: sa.Numeric(),
        str: sa.Text(),
        bytes: sa.LargeBinary(),
        dt.datetime: sa.DateTime(timezone=True),
        dt.date: sa.Date(),
        dt.time: sa.Time(),
    }
    return plain[type_]


def shape_of(connection: sa.Connection, table: SqlTable, written: Sequence[str], *, is_referred: bool) -> Shape | None:
    """Return a table as it is in the database; None: it is not there.

    Args:
        connection: to the database.
        table: the table.
        written: the columns that are written.
        is_referred: whether others refer to it.

    Raises:
        ValueError: it cannot be written as is wanted; says what to do.
    """
    inspector = sa.inspect(connection)
    if not inspector.has_table(table.name):
        return None
    described = inspector.get_columns(table.name)
    primary = inspector.get_pk_constraint(table.name)["constrained_columns"]
    columns = _columns_of(connection, table.name, described)
    if lacking := [name for name in (*table.key, *table.references, *(table.columns or ())) if name not in columns]:
        raise ValueError(f"table {told(table.name)} has no column {told(lacking[0])}: add it")
    unique = unique_keys(connection, table.name)
    check_key(table, columns, unique, connection.dialect.name)
    if connection.dialect.name == "mariadb":
        _check_mariadb(table, described, columns, unique, written)
    if is_referred and len(primary) != 1:
        raise ValueError(f"table {told(table.name)} is referred to, and has no primary key of one column: give it one")
    return Shape(table, columns, tuple(written), primary[0] if is_referred else "")


def _check_mariadb(
    table: SqlTable,
    described: Sequence[Any],
    columns: Mapping[str, Column],
    unique: Collection[UniqueKey],
    written: Sequence[str],
) -> None:
    """Refuse what `ON DUPLICATE KEY` would get wrong: it replaces a row that is the same by any unique key."""
    counted = {each["name"] for each in described if each.get("autoincrement") is True} - {*written}
    for other in unique:
        if other.columns != {*table.key} and not other.columns & counted:
            raise ValueError(
                f"table {told(table.name)} has another unique key beside ({', '.join(table.key)}): "
                f"({other.shown}). MariaDB would replace "
                "rows that are the same by that one: drop it, or write to a table without it"
            )
    for name in table.key:
        collation = columns[name].collation
        if collation is not None and not collation.startswith("utf8mb4"):
            raise ValueError(
                f"column {name} of the key of table {told(table.name)} is not of utf8mb4, in which rows come: "
                f"ALTER TABLE {table.name} MODIFY {name} … CHARACTER SET utf8mb4"
            )


def _columns_of(connection: sa.Connection, table: str, described: Sequence[Any]) -> dict[str, Column]:
    dialect = connection.dialect.name
    collations: dict[str, str] = {}
    json: set[str] = set()
    more = of_postgresql(connection, table) if dialect == "postgresql" else {}
    if dialect == "mariadb":
        # What a table has as its own is not said of its columns; and JSON is a text there, with a check.
        collations = {row[0]: row[1] for row in connection.execute(_COLLATIONS, {"name": table})}
        json = {row[0] for row in connection.execute(_JSON, {"name": table})}
    found: dict[str, Column] = {}
    for each in described:
        name = each["name"]
        column = _column(name, each["type"], connection.dialect, collations.get(name), name in json)
        cast, is_loose, modifier = more.get(name, ("", False, -1))
        fills = dialect == "mariadb" and isinstance(each["type"], sa.TIMESTAMP) and not each["nullable"]
        found[name] = attrs.evolve(
            column, cast=cast, is_loose=column.is_loose or is_loose, fills=fills, **_of_domain(column.kind, modifier)
        )
    return found


_COLLATIONS = sa.text(
    "SELECT column_name, collation_name FROM information_schema.columns "
    "WHERE table_schema = database() AND table_name = :name AND collation_name IS NOT NULL"
)
_JSON = sa.text(
    "SELECT constraint_name FROM information_schema.check_constraints "
    "WHERE constraint_schema = database() AND table_name = :name AND check_clause LIKE 'json\\_valid(%'"
)


def _column(name: str, type_: Any, dialect: sa.Dialect, collation: str | None, is_json: bool) -> Column:  # noqa: FBT001
    type_ = type_.data_type if isinstance(type_, postgresql.DOMAIN) else type_
    try:
        said = type_.compile(dialect)
    except CompileError:  # of a type that SQLAlchemy does not know; the database may make it of a text
        said = "text"
    kind: Kind = "json" if is_json else _kind(type_, dialect.name)
    column = Column(
        name,
        kind,
        said,
        collation=collation if kind == "text" else None,
        is_loose=_is_loose(kind, type_, dialect.name, collation),
    )
    match kind:
        case "integer":
            return _with(column, bounds=_range(type_, dialect.name))
        case "decimal" if dialect.name == "mariadb" or type_.precision is not None:
            return _with(column, digits=type_.precision or 10, scale=type_.scale or 0)
        case "text" | "bytes":
            return _with(column, **_lengths(kind, type_, dialect.name, collation))
        case "float":
            is_single = isinstance(type_, sa.REAL if dialect.name == "postgresql" else mysql.FLOAT)
            return _with(column, scale=getattr(type_, "scale", None), is_single=is_single)
        case "datetime" | "time":
            fsp = getattr(type_, "fsp", None)  # none are kept in MariaDB where it does not say
            precision = getattr(type_, "precision", None)
            fraction = (fsp or 0) if dialect.name == "mariadb" else 6 if precision is None else precision
            aware = kind == "datetime" and dialect.name == "postgresql" and bool(type_.timezone)
            return _with(column, fraction=fraction, aware=aware)
        case _:
            return column


def _with(column: Column, **changes: Any) -> Column:
    return attrs.evolve(column, **changes)


def _lengths(kind: Kind, type_: Any, dialect: str, collation: str | None) -> dict[str, Any]:
    """Return how long texts or bytes of a type may be, and which."""
    most = _SIZES.get(type_.__visit_name__) if dialect == "mariadb" else None
    is_filled = isinstance(type_, sa.CHAR | sa.BINARY) and type_.length is not None
    if kind == "bytes":
        return {"length": type_.length or most, "least": type_.length if is_filled else 0}
    return {
        "length": None if isinstance(type_, mysql.SET) else type_.length,
        "size": most if (collation or "").startswith("utf8") else None,
        "least": type_.length if is_filled and dialect == "postgresql" else 0,
        "cuts_blanks": is_filled and dialect == "mariadb",
        "members": _members(type_) if dialect == "mariadb" else None,
    }


def _of_domain(kind: Kind, modifier: int) -> dict[str, Any]:
    """Return what a domain of PostgreSQL says of its type, as the modifier of that; -1: nothing."""
    if modifier >= 0 and kind == "decimal":
        return {"digits": (modifier - 4) >> 16 & 0xFFFF, "scale": (modifier - 4) & 0x7FF}
    return {"fraction": modifier} if modifier >= 0 and kind in {"datetime", "time"} else {}


def _members(type_: Any) -> tuple[str, ...] | None:
    """Return what may be in a column of MariaDB, if it is an ENUM or a SET."""
    given = type_.enums if isinstance(type_, sa.Enum) else getattr(type_, "values", None)
    return None if given is None else tuple(given)


def _is_loose(kind: Kind, type_: Any, dialect: str, collation: str | None) -> bool:
    """Say whether a database takes values for one that are not equal here."""
    match kind:
        case "text":
            return dialect == "mariadb" and collation != _EXACT
        case "float":  # a text of it is read as it was, and yet it is not equal
            return dialect == "postgresql" and isinstance(type_, sa.REAL)
        case "other":
            return dialect != "sqlite" and not (dialect == "postgresql" and isinstance(type_, sa.Enum))
        case _:
            return False


def _kind(type_: Any, dialect: str) -> Kind:
    """Return what columns of a type hold."""
    kinds: list[tuple[Any, Kind]] = [
        (sa.Boolean, "boolean"),
        (sa.Integer, "integer"),
        (sa.Float, "float"),
        (sa.Numeric, "decimal"),
        (sa.JSON, "json"),
        (sa.Uuid, "uuid"),
        (_BINARY, "bytes"),
        (sa.DateTime, "datetime"),
        (sa.Date, "date"),
        (sa.Time, "time"),
    ]
    found: Kind | None = next((kind for each, kind in kinds if isinstance(type_, each)), None)
    if found is not None:
        return found
    is_text = isinstance(type_, sa.String) and not isinstance(type_, sa.Enum)
    if is_text or (isinstance(type_, sa.String) and dialect != "postgresql"):
        return "text"
    return "other"


def _range(type_: Any, dialect: str) -> tuple[int, int]:
    """Return the least integer of a type, and the greatest."""
    bits = 64 if dialect == "sqlite" else _BITS.get(type_.__visit_name__, 64)
    if getattr(type_, "unsigned", False):
        return 0, 2**bits - 1
    return -(2 ** (bits - 1)), 2 ** (bits - 1) - 1

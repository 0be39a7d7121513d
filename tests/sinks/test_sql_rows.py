"""Rows of databases without a database: what a program says of tables and rows, values, and statements."""

import datetime as dt
import enum
import json
import math
import sqlite3
import subprocess
import sys
import traceback
import uuid
from decimal import Decimal

import psycopg
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import scrapeengine as se
from scrapeengine.sinks import SqlTable
from scrapeengine.sinks.database import connections
from scrapeengine.sinks.database.compiling import Shape, compile_rows
from scrapeengine.sinks.database.dialects import MariaDb, Postgres, Sqlite
from scrapeengine.sinks.database.rows import SqlRow, outcome_rows, rows_by
from scrapeengine.sinks.database.schema import types_of
from scrapeengine.sinks.database.tables import ordered
from scrapeengine.sinks.database.values import Column, Limits, all_fit, checked
from support.sinking import success

EVENTS, PRICES = SqlTable("events", "name"), SqlTable("prices", ("event", "n"), {"event": "events"})
TEXT, WHOLE, REAL = Column("name", "text", "TEXT"), Column("n", "integer", "BIGINT"), Column("price", "float", "DOUBLE")
SHAPES = [
    Shape(EVENTS, {"id": WHOLE, "name": TEXT}, ("name",), "id"),
    Shape(PRICES, {"event": WHOLE, "n": WHOLE, "price": REAL}, ("event", "n", "price")),
]


def quote(name):
    """Make an identifier, as the databases do."""
    return f'"{name}"'


def row(event, n, price=1.5):
    """Make a row that refers to an event."""
    return SqlRow("prices", {"event": event, "n": n, "price": price}, success(None))


def test_tables_that_make_no_sense_are_refused():
    """Each with what to write."""
    for wrong, match in (
        (lambda: SqlTable("", "k"), "SqlTable takes names"),
        (lambda: SqlTable("t", "a\0b"), "SqlTable takes names"),
        (lambda: SqlTable("t", ()), "key="),
        (lambda: SqlTable("t", ("a", "a")), "key="),
        (lambda: SqlTable("t", "a", columns="b"), "lacks a"),
        (lambda: SqlTable("t", "a", types={"b": complex}), "one of bool, int"),
        (lambda: ordered([]), "list of tables"),
        (lambda: ordered(EVENTS), "list of tables"),
        (lambda: ordered([EVENTS, EVENTS]), "twice"),
        (lambda: ordered([PRICES]), r"add SqlTable\('events'"),
        (lambda: ordered([SqlTable("x", "k", {"k": "prices"}), PRICES, EVENTS]), "key of values of its own"),
        (lambda: ordered([SqlTable("a", "k", {"r": "b"}), SqlTable("b", "k", {"r": "a"})]), "circle: a, b"),
    ):
        with pytest.raises((TypeError, ValueError), match=match):
            wrong()
    assert [table.name for table in ordered([PRICES, EVENTS])] == ["events", "prices"]


def test_urls_and_rows_that_make_no_sense_are_refused():
    """Before anything is connected; no error has the password."""
    lite = "sqlite:///odds.db"
    for wrong, match in (
        (lambda: se.sinks.sql("odds.db", [EVENTS], {}), "no URL"),
        (lambda: se.sinks.sql("oracle://me:secret@host/db", [EVENTS], {}), "does not write to"),
        (lambda: se.sinks.sql("postgresql+asyncpg://me:secret@host/db", [EVENTS], {}), "does not write to"),
        (lambda: se.sinks.sql("sqlite://", [EVENTS], {}), "in memory"),
        (lambda: se.sinks.sql("postgresql://me:s@x:secret@host/db", [EVENTS], {}), "no URL.*URL.create"),
        (lambda: se.sinks.open("sqlite://me:secret@host/db/t"), "three slashes"),
        (lambda: se.sinks.sql(lite, [EVENTS], "name"), "function of an outcome"),
        (lambda: se.sinks.sql(lite, [EVENTS], {"name": 5}), "name of a field"),
        (lambda: se.sinks.sql(lite, [EVENTS, PRICES], {"name": "x"}), "one table only"),
        (lambda: se.sinks.sql(lite, [EVENTS, PRICES], None), "one table only"),
        (lambda: se.sinks.sql(lite, [EVENTS], {}, timeout=0), "timeout"),
        (lambda: se.sinks.sql(lite, [EVENTS], {}, on_error="no"), "on_error"),
        (lambda: se.sinks.open("sqlite:///odds.db"), "names no table"),
        (lambda: se.sinks.open("postgresql://host/odds"), "names no table"),
        (lambda: se.sinks.open("sqlite:///odds.db/t", key="k"), "give rows="),
        (lambda: se.sinks.open("sqlite:///odds.db/t", rows={"k": "x"}), "need key="),
    ):
        with pytest.raises((TypeError, ValueError), match=match) as caught:
            wrong()
        assert "secret" not in "".join(traceback.format_exception_only(caught.value))
        assert caught.value.__suppress_context__ or "secret" not in str(caught.value.__context__)
    sink = se.sinks.sql(lite, [EVENTS], {}, size=7)
    assert (sink.name, sink.policy.size, repr(sink)) == ("events", 7, "<SqlSink events>")


def test_what_is_missing_is_said(monkeypatch):
    """Without SQLAlchemy, or without a driver."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ImportError, match=r"scrapeengine\[sql\]"):
        se.sinks.open("postgresql://host/odds/prices")
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    with pytest.raises(ImportError, match=r"scrapeengine\[sql\]"):
        se.sinks.open("sqlite:///odds.db/prices")


def test_a_plain_run_does_not_import_sqlalchemy():
    """Nor does a sink of a file."""
    program = "import sys, scrapeengine as se; se.sinks.open('out.jsonl'); assert 'sqlalchemy' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", program], timeout=60, check=False).returncode == 0


def test_rows_are_made_as_is_said():
    """By a function, with the table's name or without; by a mapping, of values and items; as the outcome is."""
    outcome = success({"x": 1}, 7, items=[{"x": 2}])
    by = rows_by({"x": "x", "of": lambda outcome: outcome.event.id}, [EVENTS])
    assert [dict(each.values) for each in by(outcome, 0)] == [{"x": 2, "of": "7"}, {"x": 1, "of": "7"}]
    assert list(by(se.Skipped(event=se.Event(1), platform="A", reason="old"), 0)) == []
    by = rows_by(lambda _: [{"name": "a"}, ("events", {"name": "b"})], [EVENTS])
    assert [(each.table, each.values["name"]) for each in by(outcome, 0)] == [("events", "a"), ("events", "b")]

    async def waits(_):
        pass

    for function, match in (
        (lambda _: None, r"returned None.*\[\]"),
        (lambda _: 5, "no list"),
        (waits, "async function"),
    ):
        with pytest.raises(ValueError, match=match):
            list(rows_by(function, [EVENTS])(outcome, 0))
    for wrong in (("nothing", {}), ("events", 5), ("events", {}, 1), "ab", None):
        with pytest.raises(ValueError, match="no row: write"):
            list(rows_by(lambda _, wrong=wrong: [wrong], [EVENTS])(outcome, 0))
    ends = [
        se.Failure(event=se.Event(1), platform="A", error=ValueError("no")),
        se.Cancelled(event=se.Event(1), platform="A", reason="stopped"),
    ]
    assert [(row["kind"], row["error"]) for end in ends for row in outcome_rows(end, 0)] == [
        ("failure", "ValueError: no"),
        ("cancelled", "stopped"),
    ]
    said = se.Failure(event=se.Event(1), platform="A", error=ValueError("a\0b\ud800é"))
    assert next(outcome_rows(said, 0))["error"] == "ValueError: a\u2400b\\ud800é"


def test_types_of_columns_are_found():
    """By the first row that has one, or as is said; what has none is refused."""
    rows = [{"k": 1, "a": None, "event": "x"}, {"k": 2, "a": bytearray(b"x"), "event": None}]
    table = SqlTable("t", "k", {"event": "events"})
    assert types_of(table, rows) == {"k": int, "a": bytes, "event": None}
    assert types_of(SqlTable("t", "k"), [{"k": (1,), "d": True}]) == {"k": list, "d": bool}
    for values, expected in (
        ((1, 2.5), float),
        ((True, 5), int),
        ((1, Decimal("0.5"), 2.5), Decimal),
        (({}, []), dict),
        ((None, 2.5, None), float),
        (("x", 1), str),
    ):
        assert types_of(table, [{"k": 1, "a": value} for value in values])["a"] is expected
    assert types_of(SqlTable("t", "k", types={"late": str}), [{"k": 1}]) == {"k": int, "late": str}
    with pytest.raises(ValueError, match=r"types="):
        types_of(SqlTable("t", "k"), [{"k": 1, "a": object()}])


ANY = st.one_of(
    *(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.just("\ud800"), st.just("a\0")),
    st.decimals(),
)
COLUMNS = [
    *(Column("c", kind, "SOME") for kind in ("boolean", "integer", "float", "decimal", "text", "json", "other")),
    Column("c", "text", "VARCHAR(3)", length=3),
    Column("c", "integer", "SMALLINT", bounds=(-9, 9)),
]


@given(values=st.lists(ANY, max_size=4), column=st.sampled_from(COLUMNS), nul=st.booleans(), endless=st.booleans())
@example([1.5, None], COLUMNS[2], False, False)
@example([5, -9], COLUMNS[8], False, False)
@example([10], COLUMNS[8], False, False)
@example(["a", "abc"], COLUMNS[7], False, False)
@example(["a", "abcd"], COLUMNS[7], False, False)
@example([math.nan], COLUMNS[2], False, False)
@example([True, None], COLUMNS[0], False, False)
@example(["a\0"], COLUMNS[4], False, False)
@example(["\ud83d", "\ude00"], COLUMNS[4], False, False)
def test_what_fits_at_a_glance_fits_one_by_one(values, column, nul, endless):
    """Where all are taken as they are, each would have been."""
    limits = Limits(nul=nul, endless=endless)
    if all_fit(values, column, limits):
        found = [checked(value, column, limits) for value in values]
        assert all(one is other or one == other for one, other in zip(found, values, strict=True))


class Side(str, enum.Enum):  # noqa: UP042 - whose `str` is its name, in 3.11 too
    """Texts with names of their own."""

    HOME = "home"


def test_values_become_of_one_type():
    """Whatever is the same in a column is equal, and can be sorted."""
    limits = Limits(nul=False, endless=True)
    zone = dt.timezone(dt.timedelta(hours=2))
    for kind, value, expected in (
        ("integer", True, 1),
        ("boolean", 1, True),
        ("float", 3, 3.0),
        ("decimal", 2.37, Decimal("2.37")),
        ("text", uuid.UUID(int=1), str(uuid.UUID(int=1))),
        ("text", Side.HOME, "home"),
        ("other", Side.HOME, "home"),
        ("bytes", memoryview(b"ab"), b"ab"),
        ("datetime", dt.datetime(2024, 1, 1, 2, tzinfo=zone), dt.datetime(2024, 1, 1)),  # noqa: DTZ001
        ("json", {"é": [1.5, None]}, '{"é":[1.5,null]}'),
    ):
        found = checked(value, Column("c", kind, "SOME"), limits)
        assert (found, type(found)) == (expected, type(expected))

    class Odd(float):
        def __repr__(self):
            return "odd"

    assert checked(Odd(2.5), Column("c", "decimal", "SOME"), limits) == Decimal("2.5")
    with pytest.raises(ValueError, match="year"):
        checked(dt.datetime.min.replace(tzinfo=zone), Column("c", "datetime", "SOME"), limits)
    aware = checked(dt.datetime(2024, 1, 1, 2, tzinfo=zone), Column("c", "datetime", "SOME", aware=True), limits)
    assert aware.utcoffset() == dt.timedelta(0)


def test_digits_of_decimals_are_counted():
    """Those that would be rounded, and no zeros at an end."""
    narrow = Column("c", "decimal", "NUMERIC(6, 2)", digits=6, scale=2)
    limits = Limits(nul=True, endless=False, digits=15)
    for fits in ("9999.99", "1.500", "0", "-0.01", "1E+3", "0E-9"):
        assert checked(Decimal(fits), narrow, limits) == Decimal(fits)
    for wrong in ("10000", "0.001", "1E+4", "-9999.991"):
        with pytest.raises(ValueError, match="digits"):
            checked(Decimal(wrong), narrow, limits)
    wide = Column("c", "decimal", "NUMERIC")
    for fits in ("123456789012345", "0.000000000000000000123", "1E-30"):
        assert checked(Decimal(fits), wide, limits) == Decimal(fits)
    for wrong in ("1234567890123456", "1E+15", "123456.7890123456"):
        with pytest.raises(ValueError, match="keeps 15 digits"):
            checked(Decimal(wrong), wide, limits)


def test_statements_are_made_without_a_database():
    """Any connection can run them: here the driver's own."""
    rows = [row("a", 1), row("b", 2), row("a", 1, 2.5), row(None, 3)]
    with pytest.raises(ValueError, match=r"column event: it is of the key, and may not be NULL"):
        compile_rows(rows, SHAPES, Sqlite(), quote)
    statements = compile_rows(rows[:3], SHAPES, Sqlite(), quote)
    connection = sqlite3.connect(":memory:")
    connection.executescript(
        "CREATE TABLE events (id INTEGER PRIMARY KEY, name TEXT UNIQUE);"
        "CREATE TABLE prices (event INTEGER, n INTEGER, price REAL, PRIMARY KEY (event, n));"
    )
    for _ in range(2):
        for text, parameters, expected in statements:
            found = connection.execute(text, parameters).fetchone()
            assert expected is None or found == (expected,)
    assert connection.execute("SELECT name, n, price FROM prices JOIN events ON id = event ORDER BY n").fetchall() == [
        ("a", 1, 2.5),
        ("b", 2, 1.5),
    ]
    connection.close()


@given(keys=st.lists(st.tuples(st.sampled_from("abcd"), st.integers(-3, 3), st.floats(1, 9)), min_size=1))
def test_rows_of_one_key_are_folded_and_sorted(keys):
    """The last of each is sent, in the order of keys, whatever order they came in."""
    (_, _, upsert) = compile_rows([row(*each) for each in keys], SHAPES, Sqlite(), quote)
    sent = json.loads(upsert.parameters[0])
    assert sent == sorted(sent)
    assert {(event, n): price for event, n, price in sent} == {(event, n): price for event, n, price in keys}
    assert len(sent) == len({each[:2] for each in keys})


@pytest.mark.parametrize("dialect", [Postgres(), Sqlite(), MariaDb(2**24)])
def test_statements_are_the_same_for_all_numbers_of_rows(dialect):
    """Their texts do not change, nor how many there are."""
    found = [
        [each.text for each in compile_rows([row(str(n % 7), n) for n in range(count)], SHAPES, dialect, quote)]
        for count in (1, 5, 1000)
    ]
    assert found[0] == found[1] == found[2]
    assert len(found[0]) == 3


def test_mariadb_is_given_parts():
    """Each is below half of what the server takes at once, as the driver writes it; together they are all rows."""
    shape = Shape(SqlTable("t", "n"), {"n": WHOLE, "name": TEXT}, ("n", "name"))
    rows = [SqlRow("t", {"n": n, "name": '"\\' * (n % 50)}, success(None)) for n in range(200)]
    statements = compile_rows(rows, [shape], MariaDb(1000), quote)
    assert len(statements) > 5
    parts = [each.parameters[0] for each in statements]
    assert all(len(part) + part.count('"') + part.count("\\") <= 501 for part in parts)
    assert [n for part in parts for n, _ in json.loads(part)] == list(range(200))
    rows.append(SqlRow("t", {"n": 999, "name": "x" * 600}, success(None, "big")))
    with pytest.raises(ValueError, match=r"event 'big' on A made: it is \d+ bytes.*max_allowed_packet"):
        compile_rows(rows, [shape], MariaDb(1000), quote)


def test_a_table_of_keys_alone_is_left_as_it_is():
    """There is nothing to replace."""
    shape = Shape(SqlTable("t", "n"), {"n": WHOLE}, ("n",))
    rows = [SqlRow("t", {"n": 1}, success(None))]
    for dialect, expected in (
        (Postgres(), 'ON CONFLICT ("n") DO NOTHING'),
        (MariaDb(9999), 'ON DUPLICATE KEY UPDATE "n" = "t"."n"'),
    ):
        (statement,) = compile_rows(rows, [shape], dialect, quote)
        assert statement.text.endswith(expected)


def test_nan_is_no_key():
    """Nothing is equal to it, so each time there would be one more."""
    shape = Shape(SqlTable("t", "price"), {"price": REAL}, ("price",))
    with pytest.raises(ValueError, match="may not be NULL"):
        compile_rows([SqlRow("t", {"price": math.nan}, success(None))], [shape], Postgres(), quote)


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (sqlite3.OperationalError("locked"), False),
        (type("Error", (Exception,), {"sqlstate": "40P01"})(), True),
        (type("Error", (Exception,), {"sqlstate": "08006"})(), True),
        (type("Error", (Exception,), {"sqlstate": "57014"})(), True),
        (type("Error", (Exception,), {"sqlstate": "23505"})(), False),
        (type("OperationalError", (Exception,), {"sqlstate": None})(), True),
        (psycopg.errors.ConnectionTimeout("connection timeout expired"), True),
        (type("DataError", (Exception,), {"sqlstate": None})(), False),
        (Exception(1213, "deadlock"), True),
        (Exception(1205, "lock"), True),
        (Exception(1226, "too many connections of a user"), True),
        (Exception(1203, "too many connections of a user"), True),
        (type("Error", (Exception,), {"sqlstate": "HY000"})(1205, "lock"), True),
        (Exception(1969, "max_statement_time"), True),
        (Exception(1062, "duplicate"), False),
        (type("InterfaceError", (Exception,), {})(0, ""), True),
        (Exception(), False),
    ],
)
def test_what_passes_is_told_from_what_does_not(error, passes):
    """By the states and numbers of each driver's errors."""
    assert connections._passes(error) is passes


@pytest.mark.parametrize(
    ("said", "refuses"),
    [
        ('FATAL:  database "nothing" does not exist', True),
        ("FATAL:  password authentication failed", True),
        ("FATAL:  the database system is starting up", False),
        ("FATAL:  sorry, too many clients already", False),
        ("Connection refused", False),
    ],
)
def test_who_refuses_a_connection_for_good_is_told_by_what_is_said(said, refuses):
    """It has no state. Of what is not known it is taken that it passes."""
    assert connections._refuses(psycopg.OperationalError(said)) is refuses

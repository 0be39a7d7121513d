"""Tables of SQLite, PostgreSQL and MariaDB: rows are there once by their keys, as they were given."""

import datetime as dt
import math
import random
import struct
import uuid
from decimal import Decimal

import attrs
import pytest
import sqlalchemy as sa
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import scrapeengine as se
from scrapeengine.cli import main
from scrapeengine.sinks import SqlTable
from scrapeengine.sinks.aside import set_aside
from support.sinking import engine_of, from_json, put, read, success, write

ODDS = [
    SqlTable("prices", ("event_id", "bookmaker_id", "result"), {"event_id": "events", "bookmaker_id": "bookmakers"}),
    SqlTable("events", "number"),
    SqlTable("bookmakers", "name"),
]


def odds_rows(outcome):
    """Make the rows of the odds of one event with one bookmaker."""
    for result, price in outcome.value.items():
        row = {"event_id": outcome.event.id, "bookmaker_id": outcome.platform, "result": result, "price": price}
        yield "prices", row


def odds(database, **options):
    """Open three tables, which are made."""
    return se.sinks.sql(database.url, ODDS, odds_rows, create=True, **options)


def prices(database):
    """Return all prices by event, bookmaker and result."""
    events = {row["id"]: row["number"] for row in read(database, "events")}
    bookmakers = {row["id"]: row["name"] for row in read(database, "bookmakers")}
    return {
        (events[row["event_id"]], bookmakers[row["bookmaker_id"]], row["result"]): row["price"]
        for row in read(database, "prices")
    }


def test_rows_refer_to_rows_that_are_made(database):
    """A price has the ids of an event and a bookmaker, which are there once, however many refer to them."""
    batch = [
        success({"home": 1.5, "away": 2.5}, id, bookmaker) for id in (1, 2) for bookmaker in ("albion", "b'o\"r%s")
    ]
    write(odds(database), batch, [success({"home": 1.75}, 1, "albion"), success({"home": 9.0}, 3, "albion")])
    expected = {
        (str(id), bookmaker, result): price
        for id in (1, 2)
        for bookmaker in ("albion", "b'o\"r%s")
        for result, price in (("home", 1.5), ("away", 2.5))
    }
    assert prices(database) == expected | {("1", "albion", "home"): 1.75, ("3", "albion", "home"): 9.0}
    assert len(read(database, "events")) == 3


class Counted:
    """Counts the statements that a database is given by one sink."""

    def __init__(self, database, sink):
        self._database = database
        self._seen = []
        if database.kind == "sqlite":
            sa.event.listen(
                engine_of(sink), "connect", lambda connection, _: connection.set_trace_callback(self._seen.append)
            )
        elif database.kind == "postgresql":
            database.run("CREATE EXTENSION IF NOT EXISTS pg_stat_statements SCHEMA public")

    def reset(self):
        """Begin anew."""
        self._seen.clear()
        self._before = self._of_mariadb() if self._database.kind == "mariadb" else {}
        if self._database.kind == "postgresql":
            self._database.run("SELECT pg_stat_statements_reset()")

    def count(self):
        """Return how often what kind of statement was run."""
        if self._database.kind == "mariadb":
            after = self._of_mariadb()
            return {name: after[name] - self._before[name] for name in after}
        if self._database.kind == "postgresql":
            self._seen = [
                text
                for text, calls in self._database.run(
                    "SELECT query, calls FROM pg_stat_statements JOIN pg_database d ON d.oid = dbid "
                    "WHERE datname = current_database() AND query NOT LIKE '%pg_stat%'"
                )
                for _ in range(calls)
            ]
        words = [text.split(None, 1)[0].upper() for text in self._seen]
        return {word: words.count(word) for word in words}

    def _of_mariadb(self):
        names = (
            "'Com_insert', 'Com_insert_select', 'Com_select', 'Com_update', 'Com_replace', 'Com_commit', 'Questions'"
        )
        return {
            name: int(value)
            for name, value in self._database.run(f"SHOW GLOBAL STATUS WHERE Variable_name IN ({names})")
        }


async def test_statements_do_not_depend_on_rows(database):
    """One for the rows, and two for each table that they refer to; for one row and for a thousand."""
    sink = odds(database)
    counted = Counted(database, sink)
    await put(sink, [success({"home": 1.0})])  # by which the tables are made
    found = []
    for events, rows in ((1, 1), (3, 5), (8, 8), (100, 1000)):
        batch = [success({str(number): 1.5}, number % events, f"b{number % min(events, 7)}") for number in range(rows)]
        counted.reset()
        await sink.write(batch)
        found.append(counted.count())
    await sink.close()
    assert found == [found[0]] * 4
    first = {key.lower(): value for key, value in found[0].items()}
    assert first.get("insert", 0) + first.get("com_insert_select", 0) == 3
    assert {"sqlite": 2, "postgresql": 2, "mariadb": 2}[database.kind] == first.get("select", first.get("com_select"))
    assert (
        len(read(database, "prices"))
        == len({(n % e, n % min(e, 7), n) for e, r in ((1, 1), (3, 5), (8, 8), (100, 1000)) for n in range(r)}) + 1
    )


async def test_a_connection_is_in_use_only_while_a_batch_is_written(database):
    """None is checked out between two batches, nor after one that has failed."""
    sink = odds(database)
    await put(sink, [success({"home": 1.0})])
    pool = engine_of(sink).pool
    assert pool.checkedout() == 0
    with pytest.raises(ValueError):
        await sink.write([success({"home": "none"})])
    assert pool.checkedout() == 0
    with trio.CancelScope() as scope:
        scope.cancel()
        await sink.write([success({"home": 2.0})])
    assert pool.checkedout() == 0
    await sink.write([success({"home": 3.0})])
    await sink.close()
    assert prices(database) == {("1", "A", "home"): 3.0}


def test_a_batch_is_written_whole_or_not_at_all(database):
    """A row that is refused takes along what was written before, in other tables too. No error has a value."""
    for name in ("first", "small"):
        database.run(f"CREATE TABLE {name} (k INTEGER PRIMARY KEY, v INTEGER CHECK (v < 12345))")
    sink = se.sinks.sql(database.url, [SqlTable("first", "k"), SqlTable("small", "k")], lambda outcome: outcome.value)
    write(sink, [success([("first", {"k": 1, "v": 1}), ("small", {"k": 1, "v": 1})])])
    rows = [("first", {"k": 1, "v": 2}), ("first", {"k": 2, "v": 2}), ("small", {"k": 1, "v": 2})]
    with pytest.raises(sa.exc.DBAPIError) as caught:
        write(sink, [success([*rows, ("small", {"k": 2, "v": 98765})])])
    assert "SELECT" in str(caught.value)
    if database.kind != "postgresql":  # which says it itself
        assert "98765" not in str(caught.value)
    for name in ("first", "small"):
        assert [tuple(row) for row in database.run(f"SELECT k, v FROM {name}")] == [(1, 1)]


KEYS = st.sampled_from(["a", "A", "a ", "é", "e", "\u0301e", "", "0", "😀", "%s", "\\", "'\""])
VALUES = st.none() | st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53).map(float)
ROWS = st.lists(
    st.tuples(st.sampled_from(["prices", "events"]), KEYS, KEYS, st.integers(-(2**63), 2**63 - 1), VALUES), max_size=12
)
MODEL = [
    SqlTable("prices", ("event", "number"), {"event": "events", "other": "events"}),
    SqlTable("events", "name", types={"title": str}),
]


def model_rows(outcome):
    """Make the rows that a value says."""
    for table, name, other, number, value in outcome.value:
        if table == "prices":
            yield table, {"event": name, "number": number, "other": other or None, "value": value}
        else:
            yield table, {"name": name, "title": other}


@pytest.fixture
def modelled(database):
    """Open tables for `model_rows`."""
    sink = se.sinks.sql(database.url, MODEL, model_rows, create=True)
    trio.run(put, sink, [success([("events", "a", "x", 0, None), ("prices", "a", "a", 1, 1.0)])])
    yield database, sink
    trio.run(sink.close)


@given(batches=st.lists(ROWS, max_size=4))
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_what_is_there_is_what_a_dict_would_have(modelled, batches):
    """Rows by their keys: the last of each counts, and what they refer to is there, in whatever batches they come."""
    database, sink = modelled
    for name in ("prices", "events"):
        database.run(f"DELETE FROM {name}")
    trio.run(put, sink, *([success(batch)] for batch in batches))
    events, rows = {}, {}
    for table, name, other, number, value in (each for batch in batches for each in batch):
        if table == "events":
            events[name] = other
        else:
            rows[name, number] = (other or None, value)
    for name, _ in rows:
        events.setdefault(name, None)
    for _, _, other, _, _ in (each for batch in batches for each in batch if each[0] == "prices" and each[2]):
        events.setdefault(other, None)
    found = {row["id"]: row for row in read(database, "events")}
    assert {row["name"]: row["title"] for row in found.values()} == events
    names = {id: row["name"] for id, row in found.items()} | {None: None}
    assert {
        (names[row["event"]], row["number"]): (names[row["other"]], row["value"]) for row in read(database, "prices")
    } == rows


MOMENT = dt.datetime(2024, 2, 29, 23, 59, 59, 123456, dt.timezone(dt.timedelta(hours=5, minutes=30)))
ROUND_TRIPS = {
    "flag": [True, False, None],
    "whole": [0, -(2**63), 2**63 - 1, 2**53 + 1, None],
    "real": [0.1, 1e308, 5e-324, -2.5, 3, 1 / 3, None],
    "exact": [Decimal("0.1"), Decimal("-12345.678901"), Decimal(0), 7, 2.37, Decimal("1E+3"), None],
    "text": ["", "é😀\u202e", "a\tb\r\nc\\n", "'\"%s?:x", "123", "null", " x ", "x" * 70_000, None],
    "raw": [b"", b"\0\xff'\"\\", bytes(range(256)) * 300, bytearray(b"ab"), None],
    "at": [MOMENT, dt.datetime(1000, 1, 1, tzinfo=dt.UTC), dt.datetime(9999, 12, 31, 23, 59, 59, 999999, dt.UTC), None],
    "day": [dt.date(2024, 2, 29), dt.date(1000, 1, 1), None],
    "clock": [dt.time(23, 59, 59, 999999), dt.time(), None],
    "nested": [{"a": [1, None, {"é😀": 1.5}], "b\\u0000": "\\"}, [], [10**30], "text", 5, True, "", None],
    "one": [uuid.UUID(int=2**100), None],
}
TYPES = {
    "flag": bool,
    "whole": int,
    "real": float,
    "exact": Decimal,
    "text": str,
    "raw": bytes,
    "at": dt.datetime,
    "day": dt.date,
    "clock": dt.time,
    "nested": dict,
    "one": uuid.UUID,
}
VALUES_TABLE = SqlTable("kinds", "k", columns=("k", *TYPES), types=TYPES)


def kinds(database):
    """Open a table with a column for each type of values."""
    return se.sinks.sql(database.url, [VALUES_TABLE], lambda outcome: outcome.value, create=True)


def test_values_are_read_as_they_were_written(database):
    """Of each type, with what is at its edges."""
    rows = {
        f"{name} {number}": (name, value) for name, values in ROUND_TRIPS.items() for number, value in enumerate(values)
    }
    write(kinds(database), [success([{"k": key, name: value} for key, (name, value) in rows.items()])])
    found = {row["k"]: row for row in read(database, "kinds")}
    for key, (name, value) in rows.items():
        value_there = found[key][name]
        if name == "nested":
            value_there = from_json(database, value_there)
        if name == "one" and value is not None:
            value_there = uuid.UUID(str(value_there))
        if name == "clock" and isinstance(value_there, dt.timedelta):  # as MariaDB's driver has it
            value_there = (MOMENT.replace(hour=0, minute=0, second=0, microsecond=0) + value_there).time()
        is_float = name == "exact" and isinstance(value, float)
        assert value_there == (Decimal(repr(value)) if is_float else value), key
        assert all(each is None for column, each in found[key].items() if column not in {"k", name}), key


def floats():
    """Draw any float that is a number, by its bits."""
    return (
        st.integers(0, 2**64 - 1).map(lambda bits: struct.unpack("d", struct.pack("Q", bits))[0]).filter(math.isfinite)
    )


def test_floats_lose_no_bit(database):
    """A thousand of all sizes."""
    draw = random.Random(5)
    drawn = [struct.unpack("d", draw.randbytes(8))[0] for _ in range(1000)]
    rows = [{"k": str(number), "real": each} for number, each in enumerate(drawn) if math.isfinite(each)]
    write(kinds(database), [success(rows)])
    assert {row["k"]: row["real"] for row in read(database, "kinds")} == {row["k"]: row["real"] for row in rows}


EVERYWHERE = {
    "flag": ["yes", 1.0],
    "whole": [2**63, "1", 1.5, Decimal(1)],
    "real": ["1", 2**53 + 1, 10**400, True],
    "exact": [Decimal("NaN"), math.inf, "1", True],
    "text": [1, b"x", "\ud800"],
    "raw": ["x", 1],
    "at": [dt.datetime(2024, 1, 1), dt.date(2024, 1, 1), "2024-01-01"],  # noqa: DTZ001 - that is what is refused
    "day": [dt.datetime(2024, 1, 1, tzinfo=dt.UTC), "2024-01-01"],
    "clock": [dt.time(1, tzinfo=dt.UTC), "01:00"],
    "nested": [{"a": math.nan}, {1, 2}, "\ud800", {"a": b"x"}],
    "one": [1],
}
SOMEWHERE = {
    "sqlite": {
        "flag": [2],
        "real": [math.nan, math.inf],
        "text": ["a\0b"],
        "exact": [Decimal("1234567890.1234567"), Decimal(10**15) + 1],
        "nested": [10**30],
    },
    "postgresql": {"flag": [2], "text": ["a\0b"], "nested": [{"a": "\0"}, ["\\\0"]]},
    "mariadb": {
        "real": [math.nan, -math.inf],
        "exact": [Decimal("0.12345678901"), Decimal(10**28)],
        "one": ["x" * 37],
    },
}


async def test_what_a_column_cannot_hold_is_refused_by_name(database):
    """The error names the event, the table and the column; nothing of the batch is written."""
    sink = kinds(database)
    await put(sink, [success([{"k": "0"}])])
    # What a database is given is looked at without it, so all that it is for is to say what its columns are.
    refused = [
        (name, value) for each in (EVERYWHERE, SOMEWHERE[database.kind]) for name in each for value in each[name]
    ]
    shapes = dict(sink._writer._shapes)
    for name, value in refused:
        sink._writer._shapes |= shapes
        with pytest.raises(ValueError, match=rf"'kinds'.*'x7'.* on A.*, column {name}: "):
            await sink.write([success([{"k": "1"}, {"k": "2", name: value}], "x7")])
    await sink.close()
    assert [row["k"] for row in read(database, "kinds")] == ["0"]


def test_what_only_some_databases_have_is_kept_there(database):
    """Infinity in PostgreSQL, NUL in MariaDB."""
    rows = [{"k": "0", "text": "a\0b", "nested": "\0"}] if database.kind == "mariadb" else [{"k": "0"}]
    if database.kind == "postgresql":
        rows = [{"k": "0", "real": math.inf}]
    write(kinds(database), [success(rows)])
    (found,) = read(database, "kinds")
    found["nested"] = from_json(database, found["nested"])
    assert found | rows[0] == found


def test_columns_narrower_than_their_values_are_refused(database):
    """Nothing is rounded, cut off or wrapped round, as the database itself would do it, in silence or not."""
    precise = {"sqlite": "DATETIME", "postgresql": "TIMESTAMPTZ(3)", "mariadb": "DATETIME(3)"}[database.kind]
    blob = {"sqlite": "BLOB", "postgresql": "BYTEA", "mariadb": "VARBINARY(3)"}[database.kind]
    database.run(
        f"CREATE TABLE narrow (k INTEGER PRIMARY KEY, s SMALLINT, d NUMERIC(6, 2), t VARCHAR(3), p {precise}, b {blob})"
    )
    rows = [
        *[("d", value) for value in (Decimal("0.125"), 12345, Decimal("12345.6"), 0.001)],
        ("t", "four"),
        *([("s", 2**15), ("s", -(2**15) - 1), ("p", MOMENT)] if database.kind != "sqlite" else []),
        *([("b", b"four")] if database.kind == "mariadb" else []),
    ]
    table = SqlTable("narrow", "k", columns=("k", "s", "d", "t", "p", "b"))
    sink = se.sinks.sql(database.url, [table], lambda outcome: [outcome.value])
    write(
        sink,
        [
            success(
                {
                    "k": 1,
                    "s": -(2**15),
                    "d": Decimal("9999.990"),
                    "t": "é😀x",
                    "p": MOMENT.replace(microsecond=5000),
                    "b": b"\0x",
                }
            )
        ],
    )
    for column, value in rows:
        with pytest.raises(ValueError, match=rf"column {column}: .*, .* (column|round|wider|finer)"):
            write(sink, [success({"k": 2, column: value})])
    (found,) = read(database, "narrow")
    assert (found["s"], found["d"], found["t"]) == (-(2**15), Decimal("9999.99"), "é😀x")


def test_texts_that_are_too_long_are_refused_in_mariadb(of_mariadb):
    """By their bytes, where the type has a limit; and by the server, where its set of characters is another one."""
    of_mariadb.run(
        "CREATE TABLE long_ones (k INTEGER PRIMARY KEY, tiny TINYTEXT, plain TEXT, raw TINYBLOB, "
        "old TINYTEXT CHARACTER SET latin1)"
    )
    table = SqlTable("long_ones", "k", columns=("k", "tiny", "plain", "raw", "old"))
    sink = se.sinks.sql(of_mariadb.url, [table], lambda outcome: [outcome.value])
    fits = {"k": 1, "tiny": "é" * 127, "plain": "x" * 65_535, "raw": b"x" * 255, "old": "é" * 255}
    write(sink, [success(fits)])
    for column, value in (("tiny", "é" * 128), ("plain", "é" * 32_768), ("plain", "x" * 70_000), ("raw", b"x" * 256)):
        with pytest.raises(ValueError, match=rf"'long_ones'.* column {column}: .* wider"):
            write(sink, [success({"k": 2, column: value})])
    with pytest.raises(sa.exc.DataError, match="too long"):
        write(sink, [success({"k": 2, "old": "é" * 256})])
    assert read(of_mariadb, "long_ones") == [fits]


NARROW = {
    "sqlite": [("NUMERIC", [Decimal("0.1")], [Decimal("1E-400")])],
    "postgresql": [
        ("CHAR(3)", ["abc", "ab "], ["ab", "abcd"]),
        ("REAL", [1.85, 0.1, -1e30, 0.0], [16777217.0, 1e39, 1e-40]),
        ("BIT(3)", ["101"], ["10101"]),
        ("short", ["abc"], ["abcdef"]),
        ("cents", [Decimal("1.23")], ["1.239", Decimal("1.239")]),
        ("of_seconds", [MOMENT.replace(microsecond=0)], [MOMENT]),
        ("VARCHAR(3)[]", ["{abc}"], ["{abcdef}"]),
    ],
    "mariadb": [
        ("CHAR(3)", ["abc", "ab"], ["ab ", "abcd"]),
        ("BINARY(3)", [b"abc"], [b"ab"]),
        ("ENUM('a', 'b')", ["a"], ["1", "A", "c"]),
        ("SET('a', 'b')", ["a", "a,b", ""], ["1", "3", "a,c"]),
        ("FLOAT", [1.85, -1e30], [16777217.0, 1e39]),
        ("DOUBLE(10, 2)", [1.25], [1.239]),
        ("FLOAT(7, 2)", [1.25], [1.239]),
        ("TIMESTAMP NOT NULL", [MOMENT.replace(microsecond=0)], [None]),
    ],
}


async def test_what_a_column_would_change_is_refused(database):
    """Padding, members by their numbers, digits of single precision, what a cast would cut off."""
    if database.kind == "postgresql":
        database.run("CREATE DOMAIN short AS varchar(3)")
        database.run("CREATE DOMAIN of_seconds AS timestamptz(0)")
        database.run("CREATE DOMAIN cents AS numeric(10, 2)")
    columns = {f"c{number}": each for number, each in enumerate(NARROW[database.kind])}
    for column, (type_, _, _) in columns.items():
        database.run(f"CREATE TABLE t{column} (k INTEGER PRIMARY KEY, v {type_})")
    sink = se.sinks.sql(database.url, [SqlTable(f"t{each}", "k") for each in columns], lambda outcome: outcome.value)
    await put(sink)
    for column, (type_, fit, wrong) in columns.items():
        await sink.write([success([(f"t{column}", {"k": k, "v": value}) for k, value in enumerate(fit)])])
        for value in wrong:
            with pytest.raises((ValueError, sa.exc.DBAPIError)):
                await sink.write([success([(f"t{column}", {"k": 9, "v": value})])])
                pytest.fail(f"{type_} took {value!r}")
        found = [row["v"] for row in read(database, f"t{column}")]
        assert (["{abc}"] if found == [["abc"]] else found) == fit, type_
    await sink.close()


def test_keys_of_all_types_replace(database):
    """What is the same to the database is the same to the sink."""
    pairs = [(7, "seven"), (MOMENT, dt.date(2024, 1, 1)), (Decimal("1.5"), b"\0\1"), (True, 2.5)]
    tables = [SqlTable(f"t{number}", ("a", "b")) for number, _ in enumerate(pairs)]
    sink = se.sinks.sql(database.url, tables, lambda outcome: outcome.value, create=True)
    batches = [
        [success([(f"t{number}", {"a": a, "b": b, "c": c}) for number, (a, b) in enumerate(pairs)]) for c in some]
        for some in ((1, 2), (3,))
    ]
    write(sink, *batches)
    assert [[row["c"] for row in read(database, table.name)] for table in tables] == [[3]] * 4


def test_tables_and_columns_may_have_names_that_statements_have(database):
    """The aliases of a statement are no names of tables that are in it."""
    tables = [
        SqlTable("t", "c0", {"r": "r"}),
        SqlTable("r", "n", {"c1": "found"}),
        SqlTable("found", "n", types={"n": int}),
    ]
    sink = se.sinks.sql(database.url, tables, lambda outcome: outcome.value, create=True)
    batch = [("t", {"c0": 5, "r": 1, "v": 1}), ("r", {"n": 1, "c1": 7}), ("found", {"n": 7})]
    write(sink, [success(batch[:1])], [success(batch)])
    assert [(row["c0"], row["v"]) for row in read(database, "t")] == [(5, 1)]
    assert len(read(database, "r")) == len(read(database, "found")) == 1


def test_a_table_may_refer_to_itself_and_by_a_key_of_several(database):
    """A category has one above it; a result refers to a match by league and number, in a tuple or a mapping."""
    tables = [
        SqlTable("categories", "name", {"above": "categories"}),
        SqlTable("results", "id", {"match": "matches"}),
        SqlTable("matches", ("league", "number")),
    ]
    sink = se.sinks.sql(database.url, tables, lambda outcome: outcome.value, create=True)
    rows = [
        ("categories", {"name": "tennis", "above": "sport"}),
        ("categories", {"name": "sport", "above": None}),
        ("results", {"id": 1, "match": ("one", 1), "home": 3}),
        ("results", {"id": 2, "match": {"number": 1, "league": "one"}, "home": 4}),
    ]
    write(sink, [success(rows)])
    found = {row["id"]: row for row in read(database, "categories")}
    assert {row["name"]: row["above"] and found[row["above"]]["name"] for row in found.values()} == {
        "tennis": "sport",
        "sport": None,
    }
    (match,) = read(database, "matches")
    assert (match["league"], match["number"]) == ("one", 1)
    assert [row["match"] for row in read(database, "results")] == [match["id"]] * 2
    for wrong in ("one", ("one",), {"league": "one"}, ("one", None)):
        with pytest.raises(ValueError, match=r"column match: .*key"):
            write(sink, [success([("results", {"id": 1, "match": wrong, "home": 3})])])


def test_tables_are_opened_by_name(database):
    """A row for each outcome, and one for each item; again they replace."""
    batch = [success({"x": 1}, 1, items=[7, "é"]), se.Skipped(event=se.Event(2), platform="A", reason="old")]
    for _ in range(2):
        write(se.sinks.open(database.table("out")), batch)
    rows = read(database, "out")
    assert [(row["id"], row["item"], row["kind"], from_json(database, row["value"]), row["error"]) for row in rows] == [
        ("1", 0, "success", {"x": 1}, None),
        ("1", 1, "item", 7, None),
        ("1", 2, "item", "é", None),
        ("2", 0, "skipped", None, "old"),
    ]
    assert {row["written"] for row in rows} == {dt.datetime.fromtimestamp(1_700_000_000, dt.UTC)}
    own = se.sinks.open(database.table("own"), key="k", rows={"k": "x", "of": lambda outcome: outcome.platform})
    write(own, [success({"x": 1}), success({"x": 2}), success(None, items=[{"x": 1}])])
    assert [(row["k"], row["of"]) for row in read(database, "own")] == [(1, "A"), (2, "A")]


async def test_a_run_writes_to_it(database, autojump_clock, tmp_path):
    """As a sink of an engine, with a policy: what it refuses is set aside."""

    async def scrape(task):
        await trio.sleep(1)
        return {"home": float(task.event.id) if task.event.id != "3" else "none"}

    aside = tmp_path / "aside.jsonl"
    tables = [attrs.evolve(ODDS[0], types={"price": float}), *ODDS[1:]]
    policy = {"on_error": "set aside", "aside": str(aside), "patience": 0, "linger": 0}
    sink = se.sinks.sql(database.url, tables, odds_rows, create=True, **policy)
    report = await se.Engine([se.Platform("A", scrape, limit=5)]).run(map(se.Event, range(10)), sinks=[sink])
    assert report.set_aside == {str(aside): 1}
    assert prices(database) == {(str(id), "A", "home"): float(id) for id in range(10) if id != 3}


def test_what_was_set_aside_is_brought_into_a_table(database, tmp_path):
    """By the command line, which takes the URL of a table too."""
    aside = tmp_path / "aside.jsonl"
    trio.run(set_aside, str(aside), "odds", success({"home": "none"}, 3), ValueError("refused"))
    main(["deliver", str(aside), "--into", database.table("brought")])
    assert [(row["id"], from_json(database, row["value"])) for row in read(database, "brought")] == [
        ("3", {"home": "none"})
    ]
    assert not aside.exists()


def test_a_database_that_is_not_there_is_one_line_of_the_command(served, tmp_path, capsys):
    """No traceback, and no password; what was set aside stays."""
    aside = tmp_path / "aside.jsonl"
    trio.run(set_aside, str(aside), "odds", success({"home": "none"}, 3), ValueError("refused"))
    user = served.server.url("nothing/out").replace("@", ":secret@")
    for into in (user, f"sqlite:///{tmp_path}/no/odds.db/out"):
        assert main(["deliver", str(aside), "--into", into]) == 1
        said = capsys.readouterr().err
        assert said.startswith("scrapeengine deliver: ") and said.count("\n") == 1
        assert "secret" not in said and ("nothing" in said or "open" in said)
    assert aside.exists()


def test_a_table_that_is_not_there_or_not_right_is_refused(database):
    """Each error says what to do; once that is done the same sink goes on."""

    def sink(table, **options):
        return se.sinks.sql(database.url, [table], lambda outcome: [outcome.value], **options)

    def refused(sink, match, row):
        with pytest.raises(ValueError, match=match):
            write(sink, [success(row)])

    refused(sink(SqlTable("none", "k")), "no table 'none'.*create=True", {"k": 1})
    refused(sink(SqlTable("none", "k"), create=True), "column 'v'.*types=", {"k": 1, "v": None})
    database.run("CREATE TABLE plain (k INTEGER, v INTEGER)")
    plain = sink(SqlTable("plain", "k"))
    refused(plain, "CREATE UNIQUE INDEX", {"k": 1, "v": 1})
    refused(sink(SqlTable("plain", "x")), "no column 'x'", {"x": 1})
    database.run("CREATE UNIQUE INDEX one ON plain (k)")
    write(plain, [success({"k": 1, "v": 1})], [success({"k": 1, "v": 2})])
    assert [tuple(row) for row in database.run("SELECT k, v FROM plain")] == [(1, 2)]
    refused(plain, "column 'w': the table has none", {"k": 1, "v": 1, "w": 1})
    refused(plain, "column 'v': the row lacks it", {"k": 1})
    refused(plain, "column k: .*may not be NULL", {"k": None, "v": 1})
    few = sink(SqlTable("plain", "k"))
    write(few, [success({"k": 5})])
    refused(few, "column 'v': it is not written.*columns=", {"k": 1, "v": 1})


async def test_a_first_row_that_is_refused_decides_nothing(database):
    """What columns are written is said by the first batch that is: one that was not is forgotten."""
    database.run("CREATE TABLE plain (k INTEGER PRIMARY KEY, v INTEGER, w INTEGER)")
    sink = se.sinks.sql(database.url, [SqlTable("plain", "k")], lambda outcome: [outcome.value])
    await put(sink)
    for row, column in (({"k": 1, "vv": 1}, "vv"), ({"v": 1}, "k"), ({"k": 1, "v": "x"}, "v")):
        with pytest.raises(ValueError, match=rf"'plain'.* 'first' on A made, column '?{column}'?: "):
            await sink.write([success(row, "first")])
    await sink.write([success({"k": 2, "v": 1, "w": 5})])
    with pytest.raises(ValueError, match="column 'w': the row lacks it"):
        await sink.write([success({"k": 2, "v": 1})])
    await sink.close()
    assert database.run("SELECT k, v, w FROM plain") == [(2, 1, 5)]


def test_tables_are_made_of_all_that_is_said(database):
    """Of all first rows, of `types`, and what is referred to by what is referred to; none for rows that are refused."""
    tables = [
        SqlTable("prices", "k", {"event": "events"}),
        SqlTable("events", "name", {"league": "leagues"}, types={"title": str}),
        SqlTable("leagues", "name", types={"name": str}),
    ]
    sink = se.sinks.sql(database.url, tables, lambda outcome: outcome.value, create=True)
    price = {"k": 1, "event": "a", "v": 1}
    with pytest.raises(ValueError, match=r"column v: .*give it a"):
        write(sink, [success([("prices", price), ("prices", {**price, "k": 2, "v": b"x"})])])
    with pytest.raises(ValueError, match=r"column v: .*no float is that int"):
        write(sink, [success([("prices", {**price, "k": k, "v": v}) for k, v in enumerate((1, 2.5, 2**53 + 1))])])
    for table in tables:
        with pytest.raises(Exception, match=rf"{table.name}"):
            database.run(f"SELECT 1 FROM {table.name}")
    write(
        sink,
        [success([("prices", price), ("prices", {**price, "k": 2, "v": 2.5})])],
        [success([("events", {"name": "a", "title": "A", "league": "one"})])],
    )
    assert [(row["k"], row["v"]) for row in read(database, "prices")] == [(1, 1.0), (2, 2.5)]
    assert [row["title"] for row in read(database, "events")] == ["A"]
    assert [row["name"] for row in read(database, "leagues")] == ["one"]


def test_rows_of_a_table_may_follow_those_that_refer_to_it(database):
    """That it was known for its key alone decides nothing of what is written to it."""
    database.run("CREATE TABLE events (id INTEGER PRIMARY KEY, name VARCHAR(9) UNIQUE NOT NULL, title VARCHAR(9))")
    if database.kind != "sqlite":
        way = "ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY" * (database.kind == "postgresql")
        database.run(f"ALTER TABLE events {way or 'MODIFY id INTEGER AUTO_INCREMENT'}")
    tables = [SqlTable("prices", "k", {"event": "events"}), SqlTable("events", "name")]
    sink = se.sinks.sql(database.url, tables, lambda outcome: outcome.value, create=True)
    write(
        sink,
        [success([("prices", {"k": 1, "event": "a"})])],
        [success([("events", {"name": "a", "title": "A"})])],
        [success([("prices", {"k": 1, "event": "b"})])],
        [success([("events", {"name": "b", "title": "B"})])],
    )
    assert {row["name"]: row["title"] for row in read(database, "events")} == {"a": "A", "b": "B"}


def test_of_keys_that_the_database_takes_for_one_the_last_counts(of_mariadb):
    """In the order in which they were made, whatever that of their texts; what refers to them too."""
    of_mariadb.run("CREATE TABLE loose (id INT PRIMARY KEY AUTO_INCREMENT, k CHAR(9) UNIQUE, v INT)")
    of_mariadb.run("CREATE TABLE prices (loose INT, n INT, v INT, PRIMARY KEY (loose, n))")
    tables = [SqlTable("prices", ("loose", "n"), {"loose": "loose"}), SqlTable("loose", "k")]
    sink = se.sinks.sql(of_mariadb.url, tables, lambda outcome: outcome.value)
    write(
        sink,
        [
            success(
                [(table, {**row, "v": v}) for v, each in enumerate(("B", "b", "a", "A")) for table, row in rows(each)]
            )
            for rows in [lambda each: [("loose", {"k": each}), ("prices", {"loose": each, "n": 1})]]
        ],
    )
    assert [(row["k"].lower(), row["v"]) for row in read(of_mariadb, "loose")] == [("b", 1), ("a", 3)]
    assert sorted(row["v"] for row in read(of_mariadb, "prices")) == [1, 3]


KEYS_THAT_ARE_NONE = {
    "sqlite": [
        (
            "CREATE TABLE t (k TEXT, v INTEGER)",
            "CREATE UNIQUE INDEX i ON t (k COLLATE NOCASE)",
            "index .k COLLATE NOCASE",
        ),
        ("CREATE TABLE t (k TEXT COLLATE NOCASE PRIMARY KEY, v INTEGER)", "index .k COLLATE NOCASE"),
        ("CREATE TABLE t (k TEXT, v INTEGER)", "CREATE UNIQUE INDEX i ON t (lower(k))", "INDEX t_key ON t .k."),
    ],
    "postgresql": [
        ("CREATE TABLE t (k citext PRIMARY KEY, v INTEGER)", "k of the key.*make it text"),
        ("CREATE TABLE t (k text COLLATE loose PRIMARY KEY, v INTEGER)", "k of the key.*make it text"),
        ("CREATE TABLE t (k inet PRIMARY KEY, v INTEGER)", "k of the key.*INET.*make it text"),
        ("CREATE TABLE t (k jsonb PRIMARY KEY, v INTEGER)", "JSON, which is no key"),
    ],
    "mariadb": [
        ("CREATE TABLE t (k VARCHAR(99), v INTEGER, UNIQUE (k(5)))", r"index .k\(5\)"),
        ("CREATE TABLE t (k VARCHAR(99) PRIMARY KEY, v INTEGER, w TEXT, UNIQUE (w(5)))", r"beside .k.: .w\(5\)"),
    ],
}


def test_keys_that_take_different_rows_for_one_are_refused(database):
    """A prefix, a collation of the index, a type: the row that is replaced would be another one's."""
    if database.kind == "postgresql":
        database.run("CREATE EXTENSION IF NOT EXISTS citext SCHEMA public")
        database.run("CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false)")
    for *statements, match in KEYS_THAT_ARE_NONE[database.kind]:
        for statement in statements:
            database.run(statement)
        sink = se.sinks.sql(database.url, [SqlTable("t", "k")], lambda outcome: [outcome.value])
        with pytest.raises(ValueError, match=match):
            write(sink, [success({"k": "a", "v": 1})])
        database.run("DROP TABLE t")


def test_a_uuid_is_the_same_however_it_is_written(of_postgresql):
    """As a key, of which the last counts."""
    of_postgresql.run("CREATE TABLE t (k uuid PRIMARY KEY, v INTEGER)")
    sink = se.sinks.sql(of_postgresql.url, [SqlTable("t", "k")], lambda outcome: outcome.value)
    one = uuid.UUID(int=2**127 + 10)
    write(sink, [success([{"k": one, "v": 1}, {"k": str(one).upper(), "v": 2}, {"k": one.hex, "v": 3}])])
    assert read(of_postgresql, "t") == [{"k": one, "v": 3}]
    for wrong in ("x", 5):
        with pytest.raises(ValueError, match=r"column k: .*UUID"):
            write(sink, [success([{"k": wrong, "v": 1}])])


def test_another_unique_key_is_refused_in_mariadb(database):
    """`ON DUPLICATE KEY` would replace whatever row is the same by that one. Elsewhere it is an error of its row."""
    database.run("CREATE TABLE people (id INTEGER PRIMARY KEY, mail VARCHAR(99) UNIQUE)")
    sink = se.sinks.sql(database.url, [SqlTable("people", "id")], lambda outcome: [outcome.value])
    first, second = success({"id": 1, "mail": "x"}), success({"id": 2, "mail": "x"})
    if database.kind == "mariadb":
        with pytest.raises(ValueError, match=r"another unique key beside \(id\): \(mail\)"):
            write(sink, [first])
    else:
        write(sink, [first])
        with pytest.raises(sa.exc.IntegrityError):
            write(sink, [second])
    assert len(database.run("SELECT * FROM people")) == (database.kind != "mariadb")


def test_types_that_postgresql_alone_has_are_made_of_texts(of_postgresql):
    """Enums, addresses, UUIDs, intervals, arrays, and what SQLAlchemy does not know; as keys too."""
    of_postgresql.run("CREATE TYPE mood AS ENUM ('good', 'bad')")
    of_postgresql.run("CREATE TABLE own (k mood PRIMARY KEY, a inet, u uuid, i interval, d date[], r regclass)")
    sink = se.sinks.sql(of_postgresql.url, [SqlTable("own", "k")], lambda outcome: [outcome.value])
    row = {"k": "good", "a": "10.0.0.0/8", "u": uuid.UUID(int=5), "i": "1 day", "d": "{2024-01-01}", "r": "own"}
    write(sink, [success(row)], [success({**row, "a": None})])
    (found,) = of_postgresql.run("SELECT k::text, a, u, i, d, r::text FROM own")
    assert found == ("good", None, uuid.UUID(int=5), dt.timedelta(1), [dt.date(2024, 1, 1)], "own")
    with pytest.raises(ValueError, match=r"column d: .*give it a str"):
        write(sink, [success({**row, "d": [1]})])


def test_keys_of_mariadb_are_of_utf8mb4(of_mariadb):
    """In another set of characters rows could not be compared with it; by a collation of its own they are."""
    of_mariadb.run("CREATE TABLE old (k VARCHAR(9) CHARACTER SET latin1 PRIMARY KEY)")
    loose = "k VARCHAR(9) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci UNIQUE"
    of_mariadb.run(f"CREATE TABLE loose ({loose}, id INT PRIMARY KEY AUTO_INCREMENT)")
    tables = [SqlTable("old", "k"), SqlTable("loose", "k"), SqlTable("prices", "n", {"loose": "loose"})]
    sink = se.sinks.sql(of_mariadb.url, tables, lambda outcome: outcome.value, create=True)
    with pytest.raises(ValueError, match="MODIFY k"):
        write(sink, [success([("old", {"k": "x"})])])
    write(sink, [success([("prices", {"n": n, "loose": each}) for n, each in enumerate(("a", "A", "b"))])])
    rows = {row["id"]: row["k"] for row in read(of_mariadb, "loose")}
    assert [rows[row["loose"]] for row in read(of_mariadb, "prices")] == [["A", "A", "b"], ["a", "a", "b"]][
        rows[min(rows)] == "a"
    ]


def test_a_key_of_mariadb_may_be_zero(of_mariadb):
    """Also of a column that counts by itself, which would take it for the next number."""
    of_mariadb.run("CREATE TABLE counted (k INT PRIMARY KEY AUTO_INCREMENT, v INT)")
    sink = se.sinks.sql(of_mariadb.url, [SqlTable("counted", "k")], lambda outcome: [outcome.value])
    write(sink, [success({"k": k, "v": 1}) for k in (0, 5, 0)])
    assert [row["k"] for row in read(of_mariadb, "counted")] == [0, 5]


def test_parts_are_below_half_of_a_packet(of_mariadb):
    """What is larger goes in several statements of one transaction; a row that is larger alone is refused by name."""
    of_mariadb.run("SET GLOBAL max_allowed_packet = 1048576")
    try:
        sink = se.sinks.sql(of_mariadb.url, [SqlTable("texts", "k")], lambda outcome: outcome.value, create=True)
        write(sink, [success([{"k": number, "t": '"' * 50_000} for number in range(30)])])
        assert len(read(of_mariadb, "texts")) == 30
        with pytest.raises(ValueError, match=r"event 'big' on A made: .*max_allowed_packet"):
            write(sink, [success([{"k": 99, "t": "x"}], "x"), success([{"k": 100, "t": '"' * 300_000}], "big")])
        assert len(read(of_mariadb, "texts")) == 30
    finally:
        of_mariadb.run("SET GLOBAL max_allowed_packet = 16777216")

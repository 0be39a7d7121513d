"""Parquet: parts that are whole, each row in one of them, and nothing made less on its way."""

import datetime as dt
import decimal
import enum
import errno
import json
import math
import os
import shutil
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import scrapeengine as se
from scrapeengine.sinks import columns, endings, parquet, slots, spools
from scrapeengine.sinks.naming import Layout
from support.rows import rows_of


async def scrape(task):
    """Return what the event says, or fail."""
    if task.event.data == "fail":
        raise ValueError("no odds \ud800")
    return task.event.data


async def emit(task):
    """Emit what the event says."""
    for item in task.event.data:
        task.emit(item)


def engine(scraper=scrape, **options):
    """Make an engine."""
    return se.Engine([se.Platform("A", scraper, **options)])


async def written(folder, values, name="out.parquet", **options):
    """Write values, in one batch, or as many as it takes."""
    events = [se.Event(str(number), data=value) for number, value in enumerate(values)]
    return await engine().run(events, sinks=[se.sinks.open(str(folder / name), linger=0.01, **options)])


def success(value):
    """Make an outcome."""
    return se.Success(event=se.Event(0), platform="A", value=value, attempts=1)


def parts_of(folder):
    """List the names of the parts."""
    return sorted(path.name for path in folder.glob("*.parquet"))


def part(folder, number=1):
    """Read a part."""
    return pq.read_table(folder / f"out-{number:06}.parquet")


async def test_the_columns_of_a_part_are_typed(tmp_path):
    """Those of the file itself, and those of the values, as the first ones are; no spool is left."""
    values = [{"n": 1, "x": 1, "t": "a", "b": b"\xff", "ok": True, "l": [1, {"a": None}]}, {"n": None, "x": 0.5}, None]
    await written(tmp_path, [*values, "fail"])
    table = part(tmp_path)
    assert {field.name: str(field.type) for field in table.schema} == {
        **dict.fromkeys(("id", "platform", "kind", "error", "t", "l"), "string"),
        **dict.fromkeys(("attempts", "n"), "int64"),
        **dict.fromkeys(("elapsed", "x"), "double"),
        **dict.fromkeys(("written",), "timestamp[ms, tz=UTC]"),
        "b": "binary",
        "ok": "bool",
    }
    rows = {row["id"]: row for row in table.to_pylist()}
    assert [rows["0"][name] for name in ("n", "x", "t", "b", "ok")] == [1, 1.0, "a", b"\xff", True]
    assert json.loads(rows["0"]["l"]) == [1, {"a": None}]
    assert (rows["1"]["n"], rows["1"]["x"], rows["2"]["x"]) == (None, 0.5, None)
    assert (rows["3"]["kind"], rows["3"]["error"]) == ("failure", "ValueError: no odds \\ud800")
    age = dt.datetime.now(dt.UTC) - rows["3"]["written"]
    assert dt.timedelta(-1) < age < dt.timedelta(1)
    assert os.listdir(tmp_path).count(".out.parquet.spool") == 0


async def test_each_item_is_a_row(tmp_path):
    """And the outcome, where it says more."""
    sink = se.sinks.open(str(tmp_path / "out.parquet"))
    await engine(emit).run([se.Event(1, data=[{"n": 1}, {"n": 2}])], sinks=[sink])
    assert [(row["kind"], row["n"]) for row in rows_of(tmp_path)] == [("item", 1), ("item", 2)]


@pytest.mark.parametrize(
    ("first", "then", "said"),
    [
        ({"n": 1}, {"n": 1, "draw": 3}, "no column 'draw': give schema="),
        ({"n": 1}, {"n": 1.5}, r"'n' is of the type int64, and 1\.5 is none"),
        ({"n": 1}, {"n": True}, "'n' is of the type int64"),
        ({"n": 1}, {"n": 2**63}, "'n' is of the type int64"),
        ({"n": 1.5}, {"n": 2**60 + 1}, "'n' is of the type double"),
        ({"n": "a"}, {"n": 1}, "'n' is of the type string"),
        ({"n": "a"}, {"n": b"a"}, "'n' is of the type string"),
        ({"n": b"a"}, {"n": "a"}, "'n' is of the type binary"),
        ({"n": True}, {"n": 1}, "'n' is of the type bool"),
    ],
)
async def test_what_does_not_fit_is_an_error_that_names_it_or_goes_to_a_column_of_its_own(tmp_path, first, then, said):
    """Also in a later run, for which the last part says what the columns are; nothing of that batch is written."""
    for name in "ab":
        (tmp_path / name).mkdir()
    await written(tmp_path / "a", [first])
    with pytest.raises(ValueError, match=said):
        await written(tmp_path / "a", [then])
    await written(tmp_path / "a", [first])
    assert [row["n"] for row in rows_of(tmp_path / "a")] == [first["n"]] * 2

    encode = {"encode": str} if isinstance(then["n"], bytes) else {}
    for value in (first, then):
        await written(tmp_path / "b", [value], extra=True, **encode)
    rows = rows_of(tmp_path / "b")
    name = "draw" if "draw" in then else "n"
    assert [None if row["extra"] is None else json.loads(row["extra"])[name] for row in rows] == [
        None,
        {"base64": "YQ=="} if isinstance(then["n"], bytes) else then[name],
    ]
    assert [row["n"] for row in rows] == [first["n"], then["n"] if name == "draw" else None]


async def test_what_one_batch_has_of_several_types_is_of_the_first(tmp_path):
    """Whole numbers beside others are no other type; what is no text may be one, as JSON."""
    await written(tmp_path, [{"x": 1, "t": {"a": 1}}, {"x": 1.5, "t": "plain"}], columns=None)
    assert {(row["x"], row["t"]) for row in rows_of(tmp_path)} == {(1.0, '{"a":1}'), (1.5, "plain")}


async def test_what_is_no_number_is_a_number_only_where_it_has_a_column(tmp_path):
    """JSON has none: elsewhere it is refused, as in JSON lines."""
    await written(tmp_path, [{"x": 0.5}, {"x": float("nan")}, {"x": float("inf")}, {"x": -1}])
    assert sorted(str(row["x"]) for row in rows_of(tmp_path)) == ["-1.0", "0.5", "inf", "nan"]
    with pytest.raises(ValueError, match="JSON"):
        await written(tmp_path, [{"x": 1.0, "y": float("nan")}], extra=True)


async def test_members_of_enumerations_are_what_they_are(tmp_path):
    """Texts and numbers; so are halves of surrogate pairs, as their escapes."""

    class Text(enum.StrEnum):
        A = "a"

    class Number(enum.IntEnum):
        ONE = 1

    class Half(float):
        pass

    await written(tmp_path, [{"t": "x", "n": 2, "x": 1.5}])
    await written(tmp_path, [{"t": Text.A, "n": Number.ONE, "x": Half(0.5)}, {"t": "\ud800", "n": None}])
    rows = [(row["t"], row["n"], row["x"]) for row in rows_of(tmp_path)]
    assert sorted(rows, key=str) == [("\\ud800", None, None), ("a", 1, 0.5), ("x", 2, 1.5)]


async def test_a_schema_may_be_given(tmp_path):
    """With types of its own; what would be less when it is read is refused."""
    schema = pa.schema(
        [
            ("price", pa.decimal128(10, 2)),
            ("at", pa.timestamp("us", "UTC")),
            ("odds", pa.struct([("home", "float"), ("away", pa.list_(pa.int8()))])),
        ]
    )
    at = dt.datetime(2026, 11, 28, tzinfo=dt.UTC)
    value = {"price": decimal.Decimal("1.5"), "at": at, "odds": {"home": 1.1, "away": (1, 2)}}
    await written(tmp_path, [value, {}], schema=schema)
    rows = {row["id"]: row for row in rows_of(tmp_path)}
    assert (rows["0"]["price"], rows["0"]["at"], rows["0"]["odds"]["away"]) == (decimal.Decimal("1.50"), at, [1, 2])
    assert rows["0"]["odds"]["home"] == pytest.approx(1.1)
    assert rows["1"]["odds"] is None
    for wrong in (
        {"price": decimal.Decimal("1.555")},
        {"at": at.replace(tzinfo=None)},
        {"odds": {"home": 1.0, "draw": 2}},
        {"odds": {"away": [1000]}},
        {"odds": {"away": [True]}},
        {"odds": [1]},
    ):
        (name,) = wrong
        with pytest.raises(ValueError, match=f"the column '{name}' is of the type"):
            await written(tmp_path, [wrong], schema=schema)


@pytest.mark.parametrize("kind", [pa.float16(), pa.float32()])
@pytest.mark.parametrize("wrong", [1e300, -1e300, 1e-300, 2**200 + 1])
def test_what_a_short_number_cannot_hold_is_no_infinity_and_no_zero(kind, wrong):
    """Fewer digits are what the schema says; in an object too. What is infinite, zero or NaN is as it is."""
    fitting = [0.0, -0.0, 1.1, float("inf"), float("-inf"), None, 3]
    schema = pa.schema([("x", kind), ("o", pa.struct([("x", kind)])), ("l", pa.list_(kind))])

    def rows_with(value, *, extra):
        rows = columns.ColumnRows(None, schema, extra, before=lambda: None)
        rows.begin(b"")
        cells = [{"x": each, "o": {"x": each}, "l": [each]} for each in fitting]
        outcomes = [success(each) for each in [*cells, *value]]
        return pa.ipc.open_stream(rows.of(outcomes, 0.0)).read_all().to_pylist()

    wrongs = [{"x": wrong}, {"o": {"x": wrong}}, {"l": [wrong]}]
    for each in wrongs:
        with pytest.raises(ValueError, match=f"the column '{next(iter(each))}' is of the type"):
            rows_with([each], extra=False)
    read = rows_with(wrongs, extra=True)
    assert [json.loads(row["extra"]) for row in read[len(fitting) :]] == wrongs
    assert [row["x"] for row in read[:2]] == [0.0, 0.0]
    assert [row["x"] for row in read[3:10]] == [*fitting[3:], None, None, None]
    assert [row["l"] for row in read[3:5]] == [[float("inf")], [float("-inf")]]
    assert math.isnan(rows_with([{"x": float("nan")}], extra=False)[-1]["x"])


async def test_columns_that_nothing_is_known_of_come_with_their_first_value(tmp_path):
    """None alone is no type. Where there is no column of a value yet, another part begins with the first one."""
    sink = se.sinks.open(str(tmp_path / "out.parquet"), size=1)
    for group in (["fail", {"a": None}], [{"a": None}], [{"a": 1}]):
        async with se.open_store("memory:") as store:
            await engine().enqueue(store, [se.Event(number, data=data) for number, data in enumerate(group)])
            await engine().poll(store, sinks=[sink])
    events = [se.Event("x", data="fail"), se.Event("y", data={"a": 2})]
    await engine(limit=1).run(events, sinks=[se.sinks.open(str(tmp_path / "else.parquet"), size=1)])
    assert parts_of(tmp_path) == [
        *("else-000001.parquet", "else-000002.parquet"),
        *(f"out-{n:06}.parquet" for n in (1, 2, 3)),
    ]
    assert [row.get("a") for row in rows_of(tmp_path, "else")] == [None, 2]


async def test_ids_that_are_no_characters_are_written_as_their_escapes(tmp_path):
    """As in all files."""
    sink = se.sinks.open(str(tmp_path / "out.parquet"))
    await engine().run([se.Event("\ud800", data=1)], sinks=[sink])
    assert [(row["id"], row["value"]) for row in rows_of(tmp_path)] == [("\\ud800", 1)]


def test_what_has_another_word_is_no_spool_of_ours():
    """Nor what has none."""
    assert [spools.word_of(each) for each in ({}, None, {spools.ID: b"x"}, {spools.ID: b"ff"})] == [0, 0, 0, 255]


async def test_a_schema_may_have_no_column(tmp_path):
    """Then all values go to `extra`."""
    await written(tmp_path, [{"a": 1}, None, {"b": 2}], schema=pa.schema([]), extra=True, size=1)
    assert sorted(str(row["extra"]) for row in rows_of(tmp_path)) == ["None", '{"a":1}', '{"b":2}']
    assert len(parts_of(tmp_path)) == 1


class Failing:
    """Does as `os` does, but for one call of a function that fails."""

    def __init__(self, name, number=1, error=errno.ENOSPC):
        self._name, self._left, self._error = name, number, error

    def __getattr__(self, name):
        """Return a function."""
        value = getattr(os, name)
        if name != self._name:
            return value

        def call(*args, **options):
            self._left -= 1
            if not self._left:
                raise OSError(self._error, os.strerror(self._error))
            return value(*args, **options)

        return call


STEPS = [
    *(("pwrite", number) for number in range(1, 7)),
    *(("fsync", number) for number in range(1, 17)),
    *(("rename", number) for number in (1, 2)),
    *(("unlink", number) for number in (1, 2)),
    *(("truncate", number) for number in (1, 2)),
    *(("fdopen", number) for number in (1, 2)),
]


@pytest.mark.parametrize(("name", "number"), STEPS)
@pytest.mark.parametrize("stored", [True, False])
async def test_nothing_is_lost_where_the_disk_is_full_for_a_moment(monkeypatch, tmp_path, name, number, stored):
    """Whatever fails: what was flushed is in one part, once, at the latest after the next run."""
    async with se.open_store("memory:") as store:

        async def run(first):
            events = [se.Event(number, data={"n": number}) for number in range(first, first + 6)]
            sink = se.sinks.open(str(tmp_path / "out.parquet"), size=3, linger=0.01, rotate_bytes=1, on_error="retry")
            if stored:
                await engine().enqueue(store, events)
                return await engine().poll(store, sinks=[sink])
            return await engine().run(events, sinks=[sink])

        with monkeypatch.context() as patched:
            failing = Failing(name, number)
            for room in (slots, endings, parquet):
                patched.setattr(room, "os", failing)
            await run(0)
        assert not list(tmp_path.glob(".*.new"))
        await run(6)
    assert not list(tmp_path.glob("*.spool"))
    assert sorted(row["n"] for row in rows_of(tmp_path)) == list(range(12))


def killed(*_):
    """End as a kill would, where a part is made."""
    raise OSError("killed")


def head_of(path):
    """Return the message with the schema of a spool."""
    with path.open("rb") as file:
        return spools.Spooled().head(file.fileno())


async def left_over(monkeypatch, folder, values, slot=1):
    """Leave a spool, as a process does that is killed; return its bytes."""
    first = slots.lock_slot(Layout(folder, "out", ".parquet", ".spool"), "out.parquet.spool")
    if slot == 1:
        first.free()
    with monkeypatch.context() as patched:
        patched.setattr(parquet, "_make", killed)
        await written(folder, values)
    if slot == 2:
        first.free()
    (spool,) = folder.glob(".*.spool")
    return spool.read_bytes()


@pytest.mark.parametrize("slot", [1, 2])
@pytest.mark.parametrize("cut", [0, 1, 50])
async def test_a_spool_that_is_left_over_is_a_part_after_the_next_start(monkeypatch, tmp_path, slot, cut):
    """All that is whole in it, from whichever slot."""
    await left_over(monkeypatch, tmp_path, [{"n": 1}], slot)
    (spool,) = tmp_path.glob("*.spool")
    with spool.open("ab") as file:
        if cut:
            file.write(spool.read_bytes()[-cut:])
    await written(tmp_path, [{"n": 2}])
    stem = "out" if slot == 1 else "out.2"
    assert f"{stem}-000001.parquet" in parts_of(tmp_path)
    assert len(parts_of(tmp_path)) == 2
    assert sorted(row["n"] for row in rows_of(tmp_path)) == [1, 2]
    assert not list(tmp_path.glob("*.spool"))


async def test_who_reads_the_folder_leaves_the_spool_alone(monkeypatch, tmp_path):
    """And the locks."""
    await written(tmp_path, [{"n": 1}])
    await left_over(monkeypatch, tmp_path, [{"n": 2}])
    assert pq.read_table(tmp_path).column("n").to_pylist() == [1]


async def test_a_torn_first_message_is_no_part(monkeypatch, tmp_path):
    """Nor is a schema without a row."""
    data = await left_over(monkeypatch, tmp_path, [{"n": 1}])
    head = len(head_of(tmp_path / ".out.parquet.spool"))
    for size in (3, head - 1, head, head + 9, len(data) - 1):
        (tmp_path / ".out.parquet.spool").write_bytes(data[:size])
        await written(tmp_path, [{"n": 2}])
    assert [row["n"] for row in rows_of(tmp_path)] == [2] * 5


async def test_a_part_is_made_again_the_same_to_the_byte(monkeypatch, tmp_path):
    """From its spool alone; and not a second time, where it is there and the spool was not removed."""
    data = await left_over(monkeypatch, tmp_path, [{"n": 1, "t": "x"}, {"n": 2, "t": None}])
    found = []
    for _ in range(2):
        await written(tmp_path, [{"n": 3, "t": "y"}])
        found.append((tmp_path / "out-000001.parquet").read_bytes())
        for path in (*tmp_path.glob("out-*"), tmp_path / ".out.parquet.spool.lock"):
            path.unlink()
        (tmp_path / ".out.parquet.spool").write_bytes(data)
    assert found[0] == found[1]
    await written(tmp_path, [{"n": 3, "t": "y"}])
    for name in ("out-000002.parquet", ".out.parquet.spool.lock"):
        (tmp_path / name).unlink()
    (tmp_path / ".out.parquet.spool").write_bytes(data)
    await written(tmp_path, [{"n": 4, "t": "y"}])
    assert sorted(row["n"] for row in rows_of(tmp_path)) == [1, 2, 4]


def taken_away(folder):
    """Take away all parts, as one who reads them may at any time; return their rows."""
    rows = [row for path in sorted(folder.glob("*.parquet")) for row in pq.read_table(path).to_pylist()]
    for path in folder.glob("*.parquet"):
        path.unlink()
    return rows


@pytest.mark.parametrize("stored", [True, False])
async def test_a_part_that_was_taken_away_is_not_made_again(monkeypatch, tmp_path, stored):
    """Where who made it has died before its spool was removed: that it was made is noted beside it."""
    found = []
    async with se.open_store("memory:") as store:
        for number in range(2):
            sink, events = se.sinks.open(str(tmp_path / "out.parquet")), [se.Event(number, data={"n": number})]
            with monkeypatch.context() as patched:
                if number == 0:
                    patched.setattr(parquet, "_remove", killed)
                if stored:
                    await engine().enqueue(store, events)
                    await engine().poll(store, sinks=[sink])
                else:
                    await engine().run(events, sinks=[sink])
            found += taken_away(tmp_path)
    assert [row["n"] for row in found] == [0, 1]
    assert not list(tmp_path.glob(".*.spool"))


@pytest.mark.parametrize("foreign", [True, False])
async def test_a_part_that_was_noted_gets_its_name(monkeypatch, tmp_path, foreign):
    """Where who made it has died in between; not in place of another one's file."""
    put, left = parquet.put_in_place, tmp_path / "left"

    def put_in_place(aside, closed):
        shutil.copytree(tmp_path, left)  # as a process leaves it that dies now
        put(aside, closed)

    with monkeypatch.context() as patched:
        patched.setattr(parquet, "put_in_place", put_in_place)
        await written(tmp_path, [{"n": 1}])
    if foreign:
        (left / "out-000001.parquet").write_text("mine")
        with pytest.raises(FileExistsError, match="move it away"):
            await written(left, [{"n": 2}])
        assert (left / "out-000001.parquet").read_text() == "mine"
        (left / "out-000001.parquet").unlink()
    await written(left, [{"n": 2}])
    assert [(path, part(left, number).column("n").to_pylist()) for number, path in enumerate(parts_of(left), 1)] == [
        ("out-000001.parquet", [1]),
        ("out-000002.parquet", [2]),
    ]
    assert sorted(path.name for path in left.glob(".*")) == [".out.parquet.spool.lock"]


async def test_a_foreign_file_of_a_parts_name_is_not_replaced(monkeypatch, tmp_path):
    """It says so; once it is moved away the part is made."""
    foreign = tmp_path / "out-000001.parquet"
    async with se.open_store("memory:") as store:
        for number in (1, 2):
            await engine().enqueue(store, [se.Event(number, data={"n": number})])
            with monkeypatch.context() as patched:
                if number == 1:
                    patched.setattr(parquet, "_make", killed)
                    await engine().poll(store, sinks=[se.sinks.open(str(tmp_path / "out.parquet"))])
                    foreign.write_text("mine")
                else:
                    with pytest.raises(FileExistsError, match="move it away"):
                        await engine().poll(store, sinks=[se.sinks.open(str(tmp_path / "out.parquet"))])
        assert foreign.read_text() == "mine"
        foreign.unlink()
        await engine().poll(store, sinks=[se.sinks.open(str(tmp_path / "out.parquet"))])
    assert sorted(row["n"] for row in rows_of(tmp_path)) == [1, 2]


async def test_large_parts_have_groups_of_rows(monkeypatch, tmp_path):
    """Of many flushes together, and not each of its own."""
    monkeypatch.setattr(parquet, "_GROUP_ROWS", 10)
    await written(tmp_path, [{"n": number} for number in range(24)], size=4)
    file = pq.ParquetFile(tmp_path / "out-000001.parquet")
    sizes = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
    assert sum(sizes) == 24
    assert max(sizes) <= 10
    assert len(sizes) <= 6


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**65), 2**65)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=3)
    | st.binary(max_size=3)
)
VALUES = SCALARS | st.lists(SCALARS, max_size=2)


@given(batches=st.lists(st.lists(VALUES, min_size=1, max_size=4), min_size=1, max_size=3))
def test_nothing_is_lost_whatever_values_come(batches):
    """Each is in its column, as it is or as JSON, or in `extra`."""
    rows = columns.ColumnRows(str, None, extra=True, before=lambda: None)
    rows.begin(b"")
    files = [b""]
    for batch in batches:
        outcomes = [success({"v": each}) for each in batch]
        if not rows.fits(outcomes):
            rows.begin(b"")
            files.append(b"")
        files[-1] += rows.of(outcomes, 0.0)
    read = [row for data in files for row in pa.ipc.open_stream(data).read_all().to_pylist()]
    for given_, row in zip([each for batch in batches for each in batch], read, strict=True):
        there = row.get("v")
        if there is None and given_ is not None and row["extra"] is not None:
            there = json.loads(row["extra"])["v"]
        assert same(given_, there), (given_, row)


def same(value, there):
    """Say whether a value is there, maybe as JSON or with its bytes in base64."""
    if value == there and isinstance(value, bool) == isinstance(there, bool):
        return True
    if isinstance(value, bytes):
        return isinstance(there, dict)
    if isinstance(value, list):
        return isinstance(json.loads(there) if isinstance(there, str) else there, list)
    return isinstance(value, str) and there == value.encode("utf-8", "backslashreplace").decode()


def test_it_says_what_to_install(monkeypatch):
    """Where pyarrow is not there."""

    def none(name):
        raise ImportError(name)

    monkeypatch.setattr(spools, "importlib", SimpleNamespace(import_module=none))
    spools.arrow.cache_clear()
    with pytest.raises(ImportError, match=r"pip install 'scrapeengine\[parquet\]'"):
        se.sinks.open("out.parquet")

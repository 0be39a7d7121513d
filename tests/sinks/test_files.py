"""Files: whole rows, all of them, and none twice, whatever happened to who wrote them."""

import csv
import io
import json
import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow as pa
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

import scrapeengine as se
from scrapeengine.deliver import writing
from scrapeengine.sinks import csv_rows, endings, lines, slots
from scrapeengine.sinks.rows import JsonRows
from support.rows import rows_of, text_of

SUFFIXES = [".jsonl", ".jsonl.gz", ".jsonl.zst", ".csv", ".csv.gz"]
ALL = [*SUFFIXES, ".parquet"]


async def scrape(task):
    """Return what the event says, or end otherwise."""
    match task.event.data:
        case "fail":
            raise ValueError("no odds")
        case "skip":
            task.skip("nothing there")
    return task.event.data


def engine(**options):
    """Make an engine."""
    return se.Engine([se.Platform("A", scrape, **options)])


async def written(path, events, **options):
    """Write the outcomes of events into a file."""
    return await engine().run(events, sinks=[se.sinks.open(str(path), linger=0, **options)])


@pytest.mark.parametrize("suffix", ALL)
async def test_each_outcome_is_a_row(tmp_path, suffix):
    """With what it says, whatever it is; the file is its user's alone."""
    path = tmp_path / f"out{suffix}"
    events = [se.Event(number, data={"n": number, "text": 'a "b",\n\u2028c'}) for number in range(5)]
    await written(path, [*events, se.Event("f", data="fail"), se.Event("s", data="skip")], size=2)
    rows = {row["id"]: row for row in rows_of(tmp_path)}
    assert len(rows) == 7
    assert {row["platform"] for row in rows.values()} == {"A"}
    assert (rows["f"]["kind"], rows["f"]["error"]) == ("failure", "ValueError: no odds")
    assert (rows["s"]["kind"], rows["s"]["error"]) == ("skipped", "nothing there")
    value = rows["3"]["value"] if "jsonl" in suffix else rows["3"]
    assert (int(value["n"]), value["text"]) == (3, 'a "b",\n\u2028c')
    assert (rows["3"]["kind"], int(rows["3"]["attempts"])) == ("success", 1)
    assert float(rows["3"]["elapsed"]) >= 0
    assert {stat.S_IMODE(each.stat().st_mode) for each in tmp_path.iterdir()} == {0o600}


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("cut", [1, 7, 20])
async def test_what_is_torn_is_cut_off_before_more_is_written(tmp_path, suffix, cut):
    """Without a store, what was flushed is there, and all of the file can be read."""
    path = tmp_path / f"out{suffix}"
    await written(path, [se.Event(1, data={"n": 1})])
    whole = path.read_bytes()
    await written(path, [se.Event(2, data={"n": 2})])
    os.truncate(path, path.stat().st_size - cut)
    await written(path, [se.Event(3, data={"n": 3})])
    assert path.read_bytes().startswith(whole)
    assert [row["id"] for row in rows_of(tmp_path)] == ["1", "3"]


async def test_values_that_json_has_not_are_refused_or_encoded(tmp_path):
    """And so are NaN; bytes are in base64. Half a surrogate pair is no character, and comes back as it was."""
    path = tmp_path / "out.jsonl"
    with pytest.raises(TypeError, match=r"give the sink encode="):
        await written(path, [se.Event(1, data=object())])
    with pytest.raises(ValueError, match="JSON"):
        await written(path, [se.Event(1, data=float("nan"))])
    assert text_of(path) == ""
    await written(path, [se.Event(1, data={1, 2}), se.Event(2, data=b"\xff"), se.Event(3, data="\ud800")], encode=list)

    values = {row["id"]: row["value"] for row in rows_of(tmp_path)}
    assert values == {"1": [1, 2], "2": {"base64": "/w=="}, "3": "\ud800"}


async def test_a_field_without_a_column_is_an_error_that_names_it(tmp_path):
    """Never is it dropped; nothing of the batch is written then, and the file goes on with its own columns."""
    path = tmp_path / "out.csv"
    await written(path, [se.Event(1, data={"home": 1.5})])
    with pytest.raises(ValueError, match=r"no column 'draw': begin another"):
        await written(path, [se.Event(2, data={"home": 1.5, "draw": 3})])
    await written(path, [se.Event(3, data={"home": 2})])
    assert [(row["id"], row["home"]) for row in rows_of(tmp_path)] == [("1", "1.5"), ("3", "2")]


async def test_names_of_fields_can_be_read_back_and_none_takes_another_ones_place(tmp_path):
    """What no first line can have in it is written otherwise; a field that is called as another is moved to is too."""
    path = tmp_path / "out.csv"
    for id in (1, 2):
        await written(path, [se.Event(id, data={"a\nb": 1, "c\ud800": 2, "id": 3, "value.id": 4})])
    (one, two) = rows_of(tmp_path)
    assert {name: one[name] for name in one if name in {"a\\nb", "c\\ud800", "value.id", "value.value.id"}} == {
        "a\\nb": "1",
        "c\\ud800": "2",
        "value.id": "3",
        "value.value.id": "4",
    }
    assert two["value.id"] == "3"
    with pytest.raises(ValueError, match="two fields of a value are both"):
        await written(path, [se.Event(3, data={"a\nb": 1, "a\\nb": 2})])


async def test_fields_without_a_column_may_have_one_for_all(tmp_path):
    """As JSON; names of the file's own columns are told apart."""
    path = tmp_path / "out.csv"
    data = {"home": 1, "draw": [2], "id": "x"}
    await written(path, [se.Event(1, data=data), se.Event(2, data="plain")], columns=["home"], extra=True)
    (one, two) = sorted(rows_of(tmp_path), key=lambda row: row["id"])
    assert (one["home"], json.loads(one["extra"])) == ("1", {"draw": [2], "value.id": "x"})
    assert (two["home"], json.loads(two["extra"])) == ("", {"value": "plain"})


@pytest.mark.parametrize("suffix", ALL)
async def test_files_rotate_by_size(tmp_path, suffix):
    """What is full is renamed, whole; nothing is lost in between, and a later run goes on behind."""
    for first in (0, 20):
        events = [se.Event(first + number, data={"n": number}) for number in range(20)]
        await written(tmp_path / f"out{suffix}", events, size=5, rotate_bytes=1)
    names = sorted(path.name for path in tmp_path.glob("out*"))
    now = [] if suffix == ".parquet" else [f"out{suffix}"]
    assert names == sorted([*now, *(f"out-{number + 1:06}{suffix}" for number in range(len(names) - len(now)))])
    assert len(names) >= 8 + len(now)
    assert sorted(int(row["id"]) for row in rows_of(tmp_path)) == list(range(40))


async def test_files_rotate_by_age(autojump_clock, tmp_path):
    """From the first flush after that on."""

    async def source():
        for number in range(6):
            await trio.sleep(10)
            yield se.Event(number)

    await engine().run(source(), sinks=[se.sinks.open(str(tmp_path / "out.jsonl"), rotate_after=15, linger=0)])
    assert len(list(tmp_path.glob("out-*"))) == 2

    assert sorted(row["id"] for row in rows_of(tmp_path)) == list("012345")


async def test_two_sinks_of_one_path_have_files_of_their_own(tmp_path):
    """As two processes have."""

    async def source():
        for number in range(9):
            yield se.Event(number)
            while not (tmp_path / "out.2.jsonl").exists():  # else one may be closed before that
                await trio.lowlevel.checkpoint()

    one, two = (se.sinks.open(str(tmp_path / "out.jsonl"), linger=0, name=name) for name in "ab")
    await engine().run(source(), sinks=[one, two])
    assert sorted(path.name for path in tmp_path.glob("out*")) == ["out.2.jsonl", "out.jsonl"]
    assert len(rows_of(tmp_path)) == 18


async def test_a_store_knows_how_far_a_file_is(tmp_path):
    """What is behind that is cut off; what was there before is kept."""
    path = tmp_path / "out.jsonl"
    path.write_text('{"id": "before"}\n')
    async with se.open_store("memory:") as store:
        for numbers in (range(3), range(3, 5)):
            await engine().enqueue(store, map(se.Event, numbers))
            await engine().poll(store, sinks=[se.sinks.open(str(path))])
            ((slot, _),) = (await store.positions("out.jsonl")).items()
            assert slot == "out.jsonl"
            path.write_text(path.read_text() + '{"id": "tail"}\n{"id"')
        await engine().enqueue(store, [se.Event(5)])
        await engine().poll(store, sinks=[se.sinks.open(str(path))])
    ids = [row["id"] for row in rows_of(tmp_path)]
    assert (ids[0], sorted(ids[1:]), len(ids)) == ("before", list("012345"), 7)


async def test_a_file_that_is_shorter_than_it_was_is_refused(tmp_path):
    """For what is missing was acknowledged; one that was moved away begins anew."""
    path = tmp_path / "out.jsonl"
    async with se.open_store("memory:") as store:
        await engine().enqueue(store, map(se.Event, range(3)))
        await engine().poll(store, sinks=[se.sinks.open(str(path))])
        os.truncate(path, 10)
        await engine().enqueue(store, [se.Event(3)])
        with pytest.raises(ValueError, match="put it back, or move it away"):
            await engine().poll(store, sinks=[se.sinks.open(str(path))])
        path.unlink()
        await engine().poll(store, sinks=[se.sinks.open(str(path))])
    assert [row["id"] for row in rows_of(tmp_path)] == ["3"]


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet"])
@pytest.mark.parametrize("stored", [True, False])
@pytest.mark.parametrize("options", [{}, {"extra": True}])
async def test_a_file_with_columns_may_begin_with_failures(tmp_path, suffix, stored, options):
    """They have a file of their own once a value comes, and that has its columns; nothing ends, and nothing is lost."""
    sink = se.sinks.open(str(tmp_path / f"out{suffix}"), **options)
    groups = (["fail", {}, None], ["fail"], [{"n": 1}, "fail"], [{}, {"n": 2}])
    async with se.open_store("memory:") as store:
        for number, group in enumerate(groups):
            events = [se.Event(f"{number}{each}", data=data) for each, data in enumerate(group)]
            if stored:
                await engine().enqueue(store, events)
                await engine().poll(store, sinks=[sink])
            else:
                await engine().run(events, sinks=[sink])
    rows = {row["id"]: row for row in rows_of(tmp_path)}
    assert sorted(rows) == ["00", "01", "02", "10", "20", "21", "30", "31"]
    assert (str(rows["20"]["n"]), str(rows["31"]["n"]), "n" in rows["10"], len(rows_of(tmp_path))) == (
        "1",
        "2",
        False,
        8,
    )
    if suffix != ".parquet":  # of which each run has parts of its own
        assert sorted(path.name for path in tmp_path.glob("out*")) == [f"out-000001{suffix}", f"out{suffix}"]


async def test_a_csv_file_with_columns_may_begin_with_failures(tmp_path):
    """It has them from the start."""
    for data in ("fail", {"n": 1}):
        await written(tmp_path / "out.csv", [se.Event(str(data), data=data)], columns=["n"])
    assert [row["n"] for row in rows_of(tmp_path)] == ["", "1"]
    assert len(list(tmp_path.glob("out*"))) == 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(values=st.lists(st.tuples(st.text(min_size=1, max_size=5), JSON), min_size=1, max_size=4), items=st.lists(JSON))
def test_lines_are_what_json_has_of_each_row(values, items):
    """Though those of a batch are encoded in one call, whatever is in them."""
    outcomes = [se.Success(event=se.Event(id), platform="A", value=value, ran=0.5) for id, value in values]
    outcomes.append(se.Success(event=se.Event('"'), platform="B\n", value=None, items=(*items, ["a", ",", "b"])))
    outcomes.append(se.Failure(event=se.Event("x"), platform="A", error=ValueError('","')))
    found = [json.loads(line) for line in JsonRows().of(outcomes, 0.0).decode().split("\n")[:-1]]
    assert [row.get("value") for row in found] == [*(value for _, value in values), *items, ["a", ",", "b"], None]
    own = {
        "platform": "A",
        "kind": "success",
        "attempts": 0,
        "elapsed": 0.5,
        "written": "1970-01-01T00:00:00.000+00:00",
    }
    assert found[0] == {"id": values[0][0], "value": values[0][1], **own}
    assert (found[-2]["id"], found[-2]["platform"], found[-2]["kind"]) == ('"', "B\n", "item")
    assert (found[-1]["kind"], found[-1]["error"]) == ("failure", 'ValueError: ","')


CELLS = st.lists(st.text(st.sampled_from('a",\r\n\u20ac '), max_size=6), min_size=1, max_size=3)


@given(rows=st.lists(CELLS, min_size=1, max_size=4), data=st.data())
def test_a_torn_row_of_csv_is_cut_off_whole(rows, data):
    """Wherever it is torn, whatever its cells hold: what is left is the rows before."""
    ends, text = [0], io.StringIO(newline="")
    for row in rows:
        csv.writer(text).writerow(row)
        ends.append(len(text.getvalue().encode()))
    cut = data.draw(st.integers(0, ends[-1]))
    with tempfile.TemporaryFile() as file:
        file.write(text.getvalue().encode()[:cut])
        file.flush()
        assert lines.whole_rows(file.fileno()) == max(end for end in ends if end <= cut)


async def test_a_torn_row_with_newlines_is_cut_off_before_more_is_written(tmp_path):
    """All of it, and not its last line only, which swallowed what came behind."""
    path = tmp_path / "out.csv"
    await written(path, [se.Event(1, data={"text": 'a\n"b"\nc'})])
    path.write_bytes(path.read_bytes() + b'2,A,success,1,0.1,now,,"first\nsecond\nthi')
    await written(path, [se.Event(3, data={"text": "x"})])
    assert [(row["id"], row["text"]) for row in rows_of(tmp_path)] == [("1", 'a\n"b"\nc'), ("3", "x")]


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
async def test_a_first_line_may_be_longer_than_csv_reads_and_than_a_block(tmp_path, suffix):
    """The next run goes on below it, and needs no second one."""
    name = 'x",' * 800_000 + "y"
    for number in (1, 2):
        await written(tmp_path / f"out{suffix}", [se.Event(number, data={"a": 1, name: number, "": 3})])
    lines_ = text_of(tmp_path / f"out{suffix}").split("\r\n")
    assert [line[-4:] for line in lines_[1:]] == [",1,3", ",2,3", ""]
    assert lines_[0].endswith('y",')


@given(cells=st.lists(st.text(st.sampled_from('a", \u20ac'), max_size=4), min_size=1, max_size=4))
def test_the_cells_of_a_first_line_are_read_as_csv_has_them(cells):
    """Whatever is in them."""
    text = io.StringIO(newline="")
    csv.writer(text).writerow(cells)
    assert csv_rows.names_of(text.getvalue().removesuffix("\r\n")) == cells


def test_a_first_line_that_is_no_csv_is_refused():
    """Rather than added to."""
    with pytest.raises(ValueError, match="move the file away"):
        csv_rows.names_of('a,"b')


async def test_a_rotation_that_fails_begins_the_age_of_a_file_anew(autojump_clock, monkeypatch, tmp_path):
    """The next one is as old as it is, and not as the one before."""

    async def source():
        for number in range(8):
            yield se.Event(number)
            await trio.sleep(10)

    failing = iter([OSError("full")])

    def put_in_place(*names):
        for error in failing:
            raise error
        return plain(*names)

    plain = endings.put_in_place
    monkeypatch.setattr(endings, "put_in_place", put_in_place)
    sink = se.sinks.open(str(tmp_path / "out.jsonl"), rotate_after=35, linger=0, on_error="retry")
    await engine().run(source(), sinks=[sink])
    assert [len(path.read_text().splitlines()) for path in sorted(tmp_path.glob("out-*"))] == [5]
    assert sorted(row["id"] for row in rows_of(tmp_path)) == list("01234567")


@pytest.mark.parametrize("suffix", ALL)
async def test_a_file_may_be_replaced_as_a_whole(tmp_path, suffix):
    """At the end of the run; one whose sink fails leaves it as it was, and so does one without an outcome."""
    path = tmp_path / f"out{suffix}"
    for first in (0, 3):
        await written(path, [se.Event(first + n, data={"n": n}) for n in range(3)], size=2, replace=True)
        assert sorted(row["id"] for row in rows_of(tmp_path)) == [str(first + n) for n in range(3)]
        before = path.read_bytes()
    with pytest.raises((TypeError, ValueError)):
        await written(path, [se.Event("x", data={"n": object()})], replace=True)
    await written(path, [], replace=True)
    assert path.read_bytes() == before
    aside = str(tmp_path / "aside")
    bad = [se.Event("y", data={"n": 1}), se.Event("z", data={"n": object()})]
    await written(path, bad, replace=True, on_error="set aside", aside=aside, patience=0)
    assert [row["id"] for row in rows_of(tmp_path)] == ["y"]
    assert [each.name for each in tmp_path.glob("out*")] == [path.name]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("suffix", ALL)
async def test_a_file_that_is_to_be_replaced_stays_until_the_end(tmp_path, suffix):
    """A process that is killed in between leaves it, and what it has left is gone at the next start."""
    path = tmp_path / f"out{suffix}"
    await written(path, [se.Event(1, data={"n": 1})], replace=True)
    before = path.read_bytes()

    async def source():
        yield se.Event(2, data={"n": 2})
        while not any(each.stat().st_size for each in tmp_path.glob(".*.new")):
            await trio.lowlevel.checkpoint()
        assert path.read_bytes() == before
        (aside,) = tmp_path.glob(".*.new")
        left.write_bytes(aside.read_bytes())
        yield se.Event(3, data={"n": 3})

    left = tmp_path / "left"
    sink = se.sinks.open(str(path), linger=0, replace=True)
    await engine().run(source(), sinks=[sink])
    names = {".parquet": f".out{suffix}.spool.new"}
    (tmp_path / names.get(suffix, f".out{suffix}.new")).write_bytes(left.read_bytes())
    await written(path, [se.Event(4, data={"n": 4})], replace=True)
    assert [row["id"] for row in rows_of(tmp_path)] == ["4"]
    assert not list(tmp_path.glob(".*.new"))


@pytest.mark.parametrize("step", ["settle", "end", "finish", "close"])
@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
async def test_a_file_is_replaced_however_long_that_takes(autojump_clock, monkeypatch, tmp_path, suffix, step):
    """A disk may be slow at its end: the file is there all the same, and nobody has it in hand any more."""
    path, whole = tmp_path / f"out{suffix}", getattr(slots.SlotFile, step)

    def slow(slot):
        trio.from_thread.run_sync(autojump_clock.jump, 10)
        whole(slot)

    monkeypatch.setattr(slots.SlotFile, step, slow)
    await written(path, [se.Event(1, data={"n": 1})], replace=True)
    assert [row["id"] for row in rows_of(tmp_path)] == ["1"]
    await written(path, [se.Event(2, data={"n": 2})], replace=True)
    assert ([row["id"] for row in rows_of(tmp_path)], len(list(tmp_path.glob(".*.lock")))) == (["2"], 1)


async def test_a_file_is_let_go_of_where_a_store_does_not_answer_at_its_end(autojump_clock, monkeypatch, tmp_path):
    """The run says that it was cut off; the next one makes the part, once."""
    path, move = tmp_path / "out.parquet", writing.RunOfSink.move

    async def hangs_at_the_end(run, position):
        if json.loads(position.value)[2]:
            await trio.sleep_forever()
        await move(run, position)

    async with se.open_store("memory:") as store:
        await engine().enqueue(store, [se.Event(1, data=1)])
        with monkeypatch.context() as patched:
            patched.setattr(writing.RunOfSink, "move", hangs_at_the_end)
            with pytest.raises(TimeoutError, match="took longer than 5 s to close"):
                await engine().poll(store, sinks=[se.sinks.open(str(path))])
        await engine().enqueue(store, [se.Event(2, data=2)])
        await engine().poll(store, sinks=[se.sinks.open(str(path))])
    assert [row["id"] for row in rows_of(tmp_path)] == ["1", "2"]
    assert [each.name for each in tmp_path.glob(".*.lock")] == [".out.parquet.spool.lock"]


async def test_a_file_of_a_store_is_not_replaced(tmp_path):
    """What was acknowledged is in it."""
    async with se.open_store("memory:") as store:
        await engine().enqueue(store, [se.Event(1)])
        with pytest.raises(ValueError, match="open it without replace=True"):
            await engine().poll(store, sinks=[se.sinks.open(str(tmp_path / "out.jsonl"), replace=True)])


class Stolen:
    """A store in which somebody else has had some outcomes when the sink says so."""

    def __init__(self, store, ids):
        self._store = store
        self._ids = set(ids)

    def __getattr__(self, name):
        """Do as the store does."""
        return getattr(self._store, name)

    async def acknowledge(self, sink, deliveries, position=None):
        """Be later than the other one."""
        for delivery in deliveries:
            if delivery.id in self._ids:
                self._ids.discard(delivery.id)
                await self._store.acknowledge(sink, [delivery])
        return await self._store.acknowledge(sink, deliveries, position)


@pytest.mark.parametrize("suffix", ALL)
async def test_what_somebody_else_has_written_is_cut_back(tmp_path, suffix):
    """And all that is its own is written again, once."""
    async with se.open_store("memory:") as store:
        await engine().enqueue(store, [se.Event(number, data={"n": number}) for number in range(9)])
        sink = se.sinks.open(str(tmp_path / f"out{suffix}"))
        await engine().poll(Stolen(store, {"2", "3", "8"}), sinks=[sink])
        assert await store.undelivered(sink.name, 99, 1) == []
    assert sorted(row["id"] for row in rows_of(tmp_path)) == ["0", "1", "4", "5", "6", "7"]


def died_everywhere(folder, suffix, rotate_bytes, first=1, stride=1):
    """Let a process die at each step in turn, and check what the next one has made of it."""
    program = Path(__file__).with_name("dying.py")
    done = subprocess.run(
        [sys.executable, program, folder, suffix, str(rotate_bytes), str(first), str(stride)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for place in folder.iterdir():
        assert sorted(int(row["id"]) for row in rows_of(place)) == list(range(9)), place.name
    return int(done.stdout)


def test_each_outcome_is_there_once_wherever_a_process_dies(tmp_path):
    """Before, in the middle of and after some writes, syncs, acknowledgements, cuts and renames."""
    first = int.from_bytes(os.urandom(1), "big") % 20 + 1
    print("first", first)
    assert died_everywhere(tmp_path, ".jsonl", 1, first, 20) >= 2


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [suffix for suffix in ALL if suffix != ".csv.gz"])
@pytest.mark.parametrize("rotate_bytes", [1, 10**9])
def test_each_outcome_is_there_once_wherever_a_process_dies_in_any_format(tmp_path, suffix, rotate_bytes):
    """As above, at each of them."""
    assert died_everywhere(tmp_path, suffix, rotate_bytes) > 15


@pytest.mark.parametrize(
    ("path", "options", "said"),
    [
        ("out.txt", {}, r"write out\.jsonl"),
        ("out", {}, r"write out\.jsonl"),
        ("out.gz", {}, r"write out\.jsonl"),
        ("out.parquet.gz", {}, r"write out\.jsonl"),
        ("out.jsonl", {"columns": ["a"]}, "for CSV"),
        ("out.parquet", {"columns": ["a"]}, "takes schema="),
        ("out.parquet", {"schema": ["a"]}, r"write pyarrow\.schema"),
        ("out.parquet", {"schema": pa.schema([("id", "string")])}, "column 'value.id'"),
        ("out.parquet", {"schema": pa.schema([("a", "string"), ("a", "string")])}, "twice"),
        (
            "out.parquet",
            {"schema": pa.schema([("a", pa.list_(pa.dictionary("int8", "string")))])},
            "type of its values",
        ),
        ("out.csv", {"schema": pa.schema([])}, "takes columns="),
        ("out.jsonl", {"extra": True}, "CSV and Parquet"),
        ("out.jsonl", {"replace": True, "rotate_after": 5}, "leave out replace="),
        ("out.jsonl", {"rotate_bytes": 0}, "rotate_bytes"),
        ("out.jsonl", {"size": 0}, "size"),
        ("", {}, "write open"),
        (1, {}, "write open"),
        ("out.jsonl", {"nonsense": 1}, "nonsense"),
    ],
)
def test_what_is_no_file_of_outcomes_is_refused(path, options, said):
    """Where it is said, with what to write."""
    with pytest.raises((TypeError, ValueError), match=said):
        se.sinks.open(path, **options)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("suffix", "kills"), [(".jsonl", 200), (".jsonl.gz", 30), (".jsonl.zst", 30), (".csv", 30), (".parquet", 30)]
)
def test_each_outcome_is_there_once_however_often_processes_are_killed(tmp_path, suffix, kills):
    """Three at a time, at random instants."""
    seed = int.from_bytes(os.urandom(4), "big")
    print("seed", seed)
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("killed.py"), tmp_path, suffix, str(kills), str(seed)],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert sorted(int(row["id"]) for row in rows_of(tmp_path)) == list(range(40 * kills + 200))

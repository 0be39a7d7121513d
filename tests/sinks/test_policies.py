"""What becomes of what a sink refuses: the run ends, or it is tried again, or set aside; never is it lost."""

import json
import stat

import pytest
import trio

import scrapeengine as se
from scrapeengine.sinks.aside import read_aside


async def scrape(task):
    """Return what the event says, after a second."""
    await trio.sleep(1)
    match task.event.data:
        case "fail":
            raise ValueError("no odds")
        case "skip":
            task.skip("nothing there")
    return task.event.data


def engine(**options):
    """Make an engine of one platform."""
    return se.Engine([se.Platform("A", scrape, limit=4)], **options)


class Refusing:
    """A sink that refuses some outcomes, and fails a number of times beside."""

    def __init__(self, refused=(), failures=0):
        self.refused = set(refused)
        self.failures = failures
        self.had = []
        self.calls = []

    async def __call__(self, outcomes):
        """Take all of a batch, or nothing."""
        self.calls.append(trio.current_time())
        if self.failures:
            self.failures -= 1
            raise OSError("the database is down")
        for outcome in outcomes:
            if outcome.event.id in self.refused:
                raise LookupError(f"no such column: {outcome.event.id}")
        self.had += outcomes


def ids(outcomes):
    """List the ids, sorted."""
    return sorted(outcome.event.id for outcome in outcomes)


async def test_a_sink_that_fails_for_a_while_is_tried_again(autojump_clock):
    """With growing pauses; then it has all, once."""
    sink = Refusing(failures=4)
    report = await engine().run(map(se.Event, range(8)), sinks=[se.sinks.of(sink, on_error="retry", linger=0)])
    pauses = [round(after - before, 6) for before, after in zip(sink.calls, sink.calls[1:5], strict=False)]
    assert pauses == [0.1, 0.2, 0.4, 0.8]
    assert ids(sink.had) == sorted(map(str, range(8)))
    assert report.set_aside == {}
    assert report.ok()


async def test_a_sink_that_goes_on_failing_ends_the_run(autojump_clock):
    """Once its patience is over; nothing waits for longer."""
    sink = Refusing(failures=10**9)
    begun = trio.current_time()
    with pytest.raises(OSError, match="the database is down"):
        await engine().run(map(se.Event, range(8)), sinks=[se.sinks.of(sink, on_error="retry", patience=5, linger=0)])
    assert 3 <= trio.current_time() - begun <= 1 + 5


async def test_only_what_is_refused_is_set_aside(autojump_clock, tmp_path):
    """The others are written, whatever batch they came in; the report names the file, and is not ok."""
    file, sink = str(tmp_path / "refused.jsonl"), Refusing(refused={"3", "4", "11"})
    named = se.sinks.of(sink, name="odds", on_error="set aside", aside=file, patience=0)
    report = await engine().run([se.Event(each, data={"a": each}) for each in range(16)], sinks=[named])
    assert ids(sink.had) == ids(
        se.Success(event=se.Event(each), platform="A", value=0) for each in set(range(16)) - {3, 4, 11}
    )
    assert report.set_aside == {file: 3}
    assert f"3 outcomes were set aside in {file}" in str(report)
    assert not report.ok()
    aside = list(read_aside(file))
    assert [(each.sink, each.error) for each in aside] == [
        ("odds", f"LookupError: no such column: {each.outcome.event.id}") for each in aside
    ]
    assert sorted((each.outcome.event.id, each.outcome.value["a"]) for each in aside) == [
        ("11", 11),
        ("3", 3),
        ("4", 4),
    ]
    assert stat.S_IMODE((tmp_path / "refused.jsonl").stat().st_mode) == 0o600


async def test_any_outcome_can_be_set_aside(autojump_clock, tmp_path):
    """As a store would keep it; of what JSON does not have a word."""
    file, whole = str(tmp_path / "refused.jsonl"), object()
    events = [se.Event(number, data=data) for number, data in enumerate(["fail", "skip", b"\xff", whole, float("nan")])]
    sink = se.sinks.of(Refusing(refused=map(str, range(9))), on_error="set aside", aside=file, patience=0)
    async with engine().stream([*events, se.Event(5, data=1), se.Event(6, data=1)], sinks=[sink]) as run:
        await trio.sleep(1.5)
        await run.stop(grace=0)
        async for _ in run:
            pass
    found = {each.outcome.event.id: each.outcome for each in read_aside(file)}
    assert len(found) == 7
    kinds = {id: type(outcome).__name__ for id, outcome in found.items()}
    assert kinds == {"0": "Failure", "1": "Skipped", "2": "Success", "3": "Success"} | dict.fromkeys("456", "Cancelled")
    assert (str(found["0"].error), found["1"].reason) == ("no odds", "nothing there")
    assert (found["2"].value, found["3"].value) == (b"\xff", repr(whole))


async def test_what_was_set_aside_is_not_delivered_again(autojump_clock, tmp_path):
    """With a store it is acknowledged once it is in the file."""
    file, sink, later = str(tmp_path / "refused.jsonl"), Refusing(refused={"1"}), Refusing()
    async with se.open_store("memory:") as store:
        await engine().enqueue(store, map(se.Event, range(4)))
        named = se.sinks.of(sink, name="odds", on_error="set aside", aside=file, patience=0)
        await engine().poll(store, sinks=[named])
        report = await engine().poll(store, sinks=[se.sinks.of(later, name="odds")])
    assert (ids(sink.had), later.had, report.redelivered) == (["0", "2", "3"], [], 0)


async def test_a_torn_line_is_cut_off_before_others_are_added(autojump_clock, tmp_path):
    """It was never said to be there."""
    file = tmp_path / "refused.jsonl"
    for number, sink in enumerate((Refusing({"0"}), Refusing({"0"}))):
        await engine().run(
            [se.Event(0, data=number)],
            sinks=[se.sinks.of(sink, on_error="set aside", aside=str(file), patience=0)],
        )
        file.write_bytes(file.read_bytes() + b'{"sink": "odds", "err')
    lines = file.read_text().split("\n")
    assert [json.loads(line)["id"] for line in lines[:2]] == ["0", "0"]
    assert [each.outcome.value for each in read_aside(str(file))] == [0, 1]


async def test_a_file_that_cannot_take_it_ends_the_run(autojump_clock, tmp_path):
    """Nothing is dropped: the error of the file leaves."""
    sink = se.sinks.of(Refusing({"0"}), on_error="set aside", aside=str(tmp_path / "none" / "x"), patience=0)
    with pytest.raises(FileNotFoundError):
        await engine().run([se.Event(0)], sinks=[sink])


def test_a_file_of_something_else_is_refused(tmp_path):
    """Where it says so, with the line."""
    (tmp_path / "x").write_text("{}\n")
    with pytest.raises(ValueError, match=r"line 1 .* give the file"):
        list(read_aside(str(tmp_path / "x")))


@pytest.mark.parametrize(
    "wrong", [{"on_error": "ignore"}, {"on_error": "set aside"}, {"aside": "x"}, {"patience": -1}, {"size": 0.5}]
)
def test_policies_that_make_no_sense_are_refused(wrong):
    """With what to write."""
    with pytest.raises((TypeError, ValueError), match=r"a sink|what is set aside"):
        se.sinks.SinkPolicy(**wrong)

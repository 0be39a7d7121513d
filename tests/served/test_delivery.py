"""From the store to the sinks: each outcome gets there at least once, and what has got there is forgotten."""

import json

import pytest
import trio

import scrapeengine as se
from scrapeengine.served import completions
from support.serving import serve_all


async def scrape(task):
    """End as the event says."""
    await trio.sleep(1)
    match task.event.data:
        case "fail":
            raise ValueError("no odds")
        case "skip":
            task.skip("nothing there")
    return task.event.data


EVENTS = [se.Event("json", data={"a": [1]}), se.Event("bytes", data=b"\xff"), se.Event("none")]
EVENTS += [se.Event("fail", data="fail"), se.Event("skip", data="skip", priority=3)]


def engine():
    """Make an engine for them."""
    return se.Engine([se.Platform("A", scrape)])


class Sink:
    """Keeps what comes, after some failures."""

    def __init__(self, failures=0):
        self.got = []
        self.failures = failures

    async def __call__(self, batch):
        """Take a batch, or fail."""
        await trio.sleep(0.1)
        if self.failures:
            self.failures -= 1
            raise OSError("the database is down")
        self.got += batch


def told(outcomes):
    """Say what outcomes say."""
    return sorted(
        (
            outcome.event.id,
            outcome.event.data,
            outcome.event.priority,
            outcome.platform,
            outcome.attempts,
            outcome.elapsed,
            type(outcome).__name__,
            str(getattr(outcome, "value", getattr(outcome, "error", getattr(outcome, "reason", None)))),
        )
        for outcome in outcomes
    )


async def test_what_the_sinks_have_is_acknowledged(autojump_clock, store):
    """Nothing is delivered again, however often the store is served later."""
    sink, later = Sink(), Sink()
    await engine().enqueue(store, EVENTS)
    outcomes, _ = await serve_all(engine(), store, count=5, sinks=[sink])
    async with engine().serve(store, sinks=[later]):
        await trio.sleep(1000)
    got = sink.got
    later = later.got
    assert outcomes == got
    assert len(got) == 5
    assert later == []


async def test_what_a_sink_has_refused_is_delivered_again(autojump_clock, store):
    """A run that a sink has ended is followed by one that gives it all of it, as it was, but for errors' classes."""
    plain = Sink()
    await engine().enqueue(store, EVENTS)
    with pytest.raises(OSError, match="the database is down"):
        await serve_all(engine(), store, count=5, sinks=[plain, Sink(failures=1)], lease=30)
    plain_again, sink = Sink(), Sink()
    async with engine().serve(store, sinks=[plain_again, sink], lease=30) as run:
        await trio.sleep(100)
    assert plain_again.got == []  # it has had them
    first = plain.got
    again = sink.got
    report = run.report
    stats = (await store.stats())["A"]
    assert told(first) == told(again)
    error = next(outcome.error for outcome in again if outcome.event.id == "fail")
    assert isinstance(error, se.RecordedError)
    assert (error.kind, str(error)) == ("ValueError", "no odds")
    assert report.redelivered == 5
    assert (report.tasks, report.outcomes.total) == (0, 0)
    assert (stats.done, stats.failed, stats.skipped) == (3, 1, 1)


async def test_a_failure_to_write_an_ending_down_goes_to_files_too(autojump_clock, monkeypatch, tmp_path, store):
    """A history that cannot be read, say: it is kept until each sink has it, as any other outcome is."""

    def newer(*_, **__):
        raise ValueError("of a newer version")

    monkeypatch.setattr(completions, "next_due", newer)
    sink, path = Sink(), tmp_path / "out.jsonl"
    await engine().enqueue(store, EVENTS[:3], cadence=se.Cadence(60))
    report = await engine().poll(store, sinks=[sink, se.sinks.open(str(path))])
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert sorted((row["id"], row["error"]) for row in rows) == [
        (id, "ValueError: of a newer version") for id in ("bytes", "json", "none")
    ]
    assert (len(sink.got), report.undelivered, report.outcomes.failed) == (3, 0, 3)
    assert await store.undelivered("out.jsonl", 9, 1) == []


async def test_a_process_that_dies_before_its_sinks_have_it(autojump_clock, store):
    """Another one delivers it, once the time that the first one had for it is over."""
    await engine().enqueue(store, EVENTS)
    with trio.move_on_after(1.05):  # in the middle of the sink's work
        store.down.add("defer")
        await serve_all(engine(), store, sinks=[Sink()], lease=20)
    store.down.clear()
    sink, begun = Sink(), trio.current_time()
    async with engine().serve(store, sinks=[sink], lease=20):
        while len(sink.got) < 5:
            await trio.sleep(0.5)
    got = sink.got
    took = trio.current_time() - begun
    assert sorted(outcome.event.id for outcome in got) == sorted(event.id for event in EVENTS)
    assert 15 <= took <= 23


async def test_a_round_delivers_what_is_left_of_others(autojump_clock, store):
    """Also if nothing else is due."""
    await engine().enqueue(store, EVENTS)
    with pytest.raises(OSError):
        await serve_all(engine(), store, sinks=[Sink(failures=1)], lease=20)
    await trio.sleep(20)
    sink = Sink()
    report = await engine().poll(store, sinks=[sink])
    assert (len(sink.got), report.redelivered) == (5, 5)


async def test_without_sinks_nothing_is_kept(autojump_clock, store):
    """Results are in the store; there is nobody to deliver to."""
    sink = Sink()
    await engine().enqueue(store, EVENTS)
    await serve_all(engine(), store, count=5)
    async with engine().serve(store, sinks=[sink]):
        await trio.sleep(1000)
    assert sink.got == []


async def test_acknowledging_survives_a_store_that_is_down(autojump_clock, store):
    """It is told later."""
    sink, later = Sink(), Sink()
    await engine().enqueue(store, EVENTS)
    async with engine().serve(store, sinks=[sink], lease=600) as run, trio.open_nursery() as nursery:
        store.down.add("acknowledge")

        @nursery.start_soon
        async def up():
            await trio.sleep(30)
            store.down.clear()
            await trio.sleep(10)
            await run.stop()

        async for _ in run:
            pass
    async with engine().serve(store, sinks=[later]):
        await trio.sleep(1000)
    assert (len(sink.got), later.got) == (5, [])


class Price:
    """Something that JSON does not have."""

    def __init__(self, cents):
        self.cents = cents

    def __str__(self):
        """Write it as prices are written."""
        return f"{self.cents / 100:.2f}"


def broken(value):
    """Encode nothing."""
    raise ZeroDivisionError


@pytest.mark.parametrize(
    ("value", "encode", "write"),
    [
        (Price(1), None, "give the engine encode="),
        ({"price": [float("nan")]}, None, "None for NaN"),
        (float("inf"), str, "None for NaN"),
        (Price(1), broken, "mend the engine's encode="),
        (Price(1), lambda value: value, "mend the engine's encode="),
    ],
)
async def test_what_json_does_not_have_pauses_the_platform(autojump_clock, store, caplog, value, encode, write):
    """At the first result, which is given back: the queue is not used up by failures that all say the same."""

    async def priced(_):
        await trio.sleep(1)
        return value

    async def plain(_):
        await trio.sleep(1)
        return "fine"

    engine = se.Engine([se.Platform("A", priced, limit=2), se.Platform("B", plain)], encode=encode)
    await engine.enqueue(store, [se.Event(n, platforms=["A", "B"]) for n in range(20)])
    report = await engine.poll(store)
    assert report.outcomes.succeeded == 20
    assert report.outcomes.failed == 0
    assert (await store.stats())["A"].failed == 0
    assert (await store.stats())["A"].ready == 20
    assert caplog.text.count("a platform is paused") == 1
    assert write in caplog.text


async def test_an_engine_may_encode_what_json_does_not_have(autojump_clock, store):
    """The consumer gets what would be delivered again: what JSON makes of it, tuples and keys included."""

    async def scrape(task):
        return {"price": Price(250), 1: (1, 2)}

    engine = se.Engine([se.Platform("A", scrape)], encode=str)
    await engine.enqueue(store, [se.Event("x")])
    async with engine.serve(store) as run:
        outcome = await anext(run)
        await run.stop(0)
    assert outcome.value == {"price": "2.50", "1": [1, 2]}
    assert (await store.get("A", "x")).result == '{"price":"2.50","1":[1,2]}'
    [direct] = [outcome async for outcome in _streamed(engine)]
    assert isinstance(direct.value["price"], Price)


async def _streamed(engine):
    """Run an event without a store: its value is the scraper's own object."""
    async with engine.stream([se.Event("x")]) as run:
        async for outcome in run:
            yield outcome


async def test_what_a_sink_has_not_taken_is_delivered_again_within_seconds(autojump_clock, store):
    """By who comes next, and by who serves the store already, long before the lease is over."""
    sink = Sink()
    await engine().enqueue(store, EVENTS)
    for _ in range(2):  # the second one has them at once, and does not take them either
        with pytest.raises(OSError), trio.fail_after(5):
            await serve_all(engine(), store, sinks=[Sink(failures=1)], lease=1000)
    async with engine().serve(store, sinks=[sink], lease=1000):
        await trio.sleep(5)
    assert len(sink.got) == 5


async def test_who_serves_a_store_delivers_what_others_have_given_back(autojump_clock, store):
    """It looks every few seconds, however long its lease is."""
    sink, other = Sink(), se.Engine([se.Platform("B", scrape)])
    async with other.serve(store, sinks=[sink], lease=1000):
        await trio.sleep(3)
        await engine().enqueue(store, EVENTS)
        with pytest.raises(OSError):
            await serve_all(engine(), store, sinks=[Sink(failures=1)], lease=1000)
        await trio.sleep(5)
    assert len(sink.got) == 5


@pytest.mark.parametrize("takes", [25, 100])
async def test_a_sink_that_is_slower_than_the_lease_gets_each_outcome_once(autojump_clock, store, takes):
    """And who else serves the store gets none of them; what it had in hand when it ends is free."""
    slow, fast = [], Sink()

    async def sink(batch):
        slow.append([outcome.event.id for outcome in batch])
        await trio.sleep(takes)

    await engine().enqueue(store, EVENTS)
    async with trio.open_nursery() as nursery:

        async def serve(sink):
            async with engine().serve(store, sinks=[sink], lease=10) as run:
                async for _ in run:
                    pass

        nursery.start_soon(serve, sink)
        await trio.sleep(3)
        nursery.start_soon(serve, fast)
        await trio.sleep(500)
        nursery.cancel_scope.cancel()
    assert sorted(id for ids in slow for id in ids) == sorted(event.id for event in EVENTS)
    assert fast.got == []

"""From the store to the sinks: each outcome gets there at least once, and what has got there is forgotten."""

import pytest
import trio

import scrapeengine as se
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


def test_what_the_sinks_have_is_acknowledged(on_store):
    """Nothing is delivered again, however often the store is served later."""

    async def main(store):
        sink, later = Sink(), Sink()
        await engine().enqueue(store, EVENTS)
        outcomes, _ = await serve_all(engine(), store, count=5, sinks=[sink])
        async with engine().serve(store, sinks=[later]):
            await trio.sleep(1000)
        return outcomes, sink.got, later.got

    outcomes, got, later = on_store(main)
    assert outcomes == got
    assert len(got) == 5
    assert later == []


def test_what_a_sink_has_refused_is_delivered_again(on_store):
    """A run that a sink has ended is followed by one that gives it all of it, as it was, but for errors' classes."""

    async def main(store):
        plain = Sink()
        await engine().enqueue(store, EVENTS)
        with pytest.raises(OSError, match="the database is down"):
            await serve_all(engine(), store, count=5, sinks=[plain, Sink(failures=1)], lease=30)
        sink = Sink()
        async with engine().serve(store, sinks=[sink], lease=30) as run:
            await trio.sleep(100)
        return plain.got, sink.got, run.report, (await store.stats())["A"]

    first, again, report, stats = on_store(main)
    assert told(first) == told(again)
    error = next(outcome.error for outcome in again if outcome.event.id == "fail")
    assert isinstance(error, se.RecordedError)
    assert (error.kind, str(error)) == ("ValueError", "no odds")
    assert report.redelivered == 5
    assert (report.tasks, report.outcomes.total) == (0, 0)
    assert (stats.done, stats.failed, stats.skipped) == (3, 1, 1)


def test_a_process_that_dies_before_its_sinks_have_it(on_store):
    """Another one delivers it, once the time that the first one had for it is over."""

    async def main(store):
        await engine().enqueue(store, EVENTS)
        with trio.move_on_after(1.05):  # in the middle of the sink's work
            await serve_all(engine(), store, sinks=[Sink()], lease=20)
        sink, begun = Sink(), trio.current_time()
        async with engine().serve(store, sinks=[sink], lease=20):
            while len(sink.got) < 5:
                await trio.sleep(0.5)
        return sink.got, trio.current_time() - begun

    got, took = on_store(main)
    assert sorted(outcome.event.id for outcome in got) == sorted(event.id for event in EVENTS)
    assert 15 <= took <= 41


def test_a_round_delivers_what_is_left_of_others(on_store):
    """Also if nothing else is due."""

    async def main(store):
        await engine().enqueue(store, EVENTS)
        with pytest.raises(OSError):
            await serve_all(engine(), store, sinks=[Sink(failures=1)], lease=20)
        await trio.sleep(20)
        sink = Sink()
        report = await engine().poll(store, sinks=[sink])
        return len(sink.got), report.redelivered

    assert on_store(main) == (5, 5)


def test_without_sinks_nothing_is_kept(on_store):
    """Results are in the store; there is nobody to deliver to."""

    async def main(store):
        sink = Sink()
        await engine().enqueue(store, EVENTS)
        await serve_all(engine(), store, count=5)
        async with engine().serve(store, sinks=[sink]):
            await trio.sleep(1000)
        return sink.got

    assert on_store(main) == []


def test_acknowledging_survives_a_store_that_is_down(on_store):
    """It is told later."""

    async def main(store):
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
        return len(sink.got), later.got

    assert on_store(main) == (5, [])

"""Sinks: where outcomes go before the consumer gets them."""

import functools

import pytest
import trio

import scrapeengine as se
from scrapeengine.deliver.channel import SinkChannel
from scrapeengine.deliver.sinks import named_sinks
from support.world import World


def napping(**options):
    """Make an engine for tasks of a second."""
    world = World(default=[("sleep", 1)])
    return world.engine([world.platform("A", limit=4)], **options)


async def test_each_sink_gets_each_outcome_once_and_in_order(autojump_clock):
    """Two sinks and the consumer see the same outcomes, the sinks in batches; none of them waits for another."""
    seen = {"one": [], "two": [], "consumer": []}

    async def one(batch):
        seen["one"] += batch
        batch.clear()  # what a sink does with its list is its own affair

    async def two(batch):
        assert isinstance(batch, list)
        await trio.sleep(50)
        seen["two"] += batch

    begun = trio.current_time()
    async with napping().stream(map(se.Event, range(20)), sinks=[one, two]) as run:
        async for outcome in run:
            seen["consumer"].append(outcome)
            assert trio.current_time() - begun <= 5
    assert seen["one"] == seen["two"] == seen["consumer"]
    assert len(seen["one"]) == 20


async def test_run_waits_for_its_sinks(autojump_clock):
    """`Engine.run` returns when the last outcome has been through the sinks."""
    kept = []

    async def slow(batch):
        await trio.sleep(100)
        kept.extend(batch)

    report = await napping().run(map(se.Event, range(5)), sinks=[slow])
    assert len(kept) == report.outcomes.succeeded == 5
    assert report.unread == 0


async def test_a_slow_sink_slows_the_lanes_down(autojump_clock):
    """Outcomes that wait for a sink count for the buffer: no task starts while it is full."""
    most = 0

    async def slow(batch):
        nonlocal most
        await trio.sleep(50)
        most = max(most, run.statistics().buffered)

    async with napping(buffer=3).stream(map(se.Event, range(30)), sinks=[slow]) as run:
        found = len([outcome async for outcome in run])
    assert found == 30
    assert most <= 3 - 1 + 4


@pytest.mark.parametrize("error", [OSError("disk full"), ExceptionGroup("two", [OSError(), OSError()])])
async def test_a_sink_that_raises_ends_the_run_with_its_error(autojump_clock, error):
    """The run does not hang and does not go on without its sink: its error leaves."""

    async def broken(_):
        raise error

    async def stream():
        async with napping().stream(map(se.Event, range(50)), sinks=[broken]) as run:
            async for _ in run:
                pass

    for main in (stream, lambda: napping().run(map(se.Event, range(50)), sinks=[broken])):
        with pytest.raises(type(error)) as caught:
            await main()
        if isinstance(error, OSError):
            assert caught.value is error


async def test_what_the_body_raises_counts_more_than_a_sinks_error(autojump_clock, caplog):
    """Both fail: the body's exception leaves, and the sink's is logged."""

    async def broken(_):
        await trio.sleep(1)
        raise OSError("disk full")

    async def main():
        async with napping().stream(map(se.Event, range(50)), sinks=[broken]):
            with trio.CancelScope(shield=True):
                await trio.sleep(5)
            raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        await main()
    assert "disk full" in caplog.text


async def test_a_consumer_that_leaves_after_the_last_outcome_lets_the_sinks_finish(autojump_clock):
    """When all work is done, leaving the body waits for what the sinks have in hand."""
    kept = []

    async def slow(batch):
        await trio.sleep(10)
        kept.extend(batch)

    async with napping().stream(map(se.Event, range(4)), sinks=[slow]):
        await trio.sleep(5)
    assert len(kept) == 4


def test_a_sink_that_is_no_callable_is_refused():
    """A wrong sink is refused where it is handed in."""
    with pytest.raises(TypeError, match="async callable"):
        napping().stream([], sinks=["outcomes.jsonl"])


async def hangs(_):
    """Take an outcome, and never come back."""
    await trio.sleep_forever()


async def test_a_sink_that_hangs_cannot_keep_a_run_that_is_stopped(autojump_clock, caplog):
    """It has five seconds more than the tasks. What it did not take is counted, and readable all the same."""
    begun = trio.current_time()
    async with napping().stream(map(se.Event, range(6)), sinks=[hangs]) as run:
        await trio.sleep(3)
        await run.stop(grace=2)
        outcomes = [outcome async for outcome in run]
    assert trio.current_time() - begun == 3 + 2 + 5
    assert len(outcomes) == run.report.undelivered == run.report.outcomes.total == 6
    assert caplog.text.count("a sink was given up") == 1


async def test_a_second_stop_shortens_the_time_of_sinks(autojump_clock):
    """As it does that of tasks."""
    begun = trio.current_time()
    async with napping().stream(map(se.Event, range(2)), sinks=[hangs]) as run:
        await trio.sleep(3)
        await run.stop(grace=1000)
        await run.stop(grace=0)
        async for _ in run:
            pass
    assert trio.current_time() - begun == 3 + 5


async def test_a_sink_that_hangs_cannot_keep_a_run_that_was_left(autojump_clock):
    """Nobody could stop it any more; one that goes on taking has its time, however long that is."""
    begun = trio.current_time()

    async def slow(_):
        await trio.sleep(50)

    for sink, seconds in ((hangs, 60), (slow, 4 * 50 - 1)):
        begun = trio.current_time()
        async with napping(buffer=1000).stream(map(se.Event, range(4)), sinks=[sink]) as run:
            while not run._session.shutdown.ended.is_set():
                await trio.sleep(1)
        report = run.report
        assert (report.undelivered == 4) == (sink is hangs)
        assert trio.current_time() - begun <= seconds + 2


async def test_what_a_sink_did_not_take_stays_in_the_store(autojump_clock):
    """The next run delivers it."""
    seen = []

    async def takes(batch):
        seen.extend(outcome.event.id for outcome in batch)

    async with se.open_store("memory:") as store:
        engine = napping()
        await engine.enqueue(store, map(se.Event, range(3)))
        async with engine.serve(store, sinks=[hangs], lease=10) as run:
            await trio.sleep(3)
            await run.stop(grace=0)
            async for _ in run:
                pass
        assert run.report.undelivered == 3
        assert not seen
        async with engine.serve(store, sinks=[se.sinks.of(takes, name="hangs")], lease=10) as run:
            await trio.sleep(30)
            await run.stop(grace=0)
    assert sorted(seen) == ["0", "1", "2"]


def blocking(outcomes):
    """Take outcomes, and give nothing to wait for."""


class Blocking:
    """A callable that is not async."""

    def __call__(self, outcomes):
        """Take them."""


@pytest.mark.parametrize("sink", [print, [].append, blocking, functools.partial(blocking), Blocking(), Blocking])
def test_a_sink_that_is_not_async_is_refused(sink):
    """At once, and not with its first batch, which it would have had; the message says what to write."""
    with pytest.raises(TypeError, match=r"which is not async; write `async def save\(outcomes\): …`"):
        napping().stream([], sinks=[sink])


@pytest.mark.parametrize("sinks", [print, "save", None])
def test_what_is_no_list_of_sinks_is_refused(sinks):
    """The message shows the list."""
    with pytest.raises(TypeError, match=r"takes a list of async functions, got .*; write sinks=\[save\]"):
        napping().stream([], sinks=sinks)


async def test_whatever_is_async_is_a_sink(autojump_clock):
    """A function, a method, a partial of one, one that is wrapped, an object that is called."""
    batches = []

    async def save(outcomes):
        batches.append(len(outcomes))

    @functools.wraps(save)
    def wrapped(outcomes):
        return save(outcomes)

    class Sink:
        async def __call__(self, outcomes):
            await save(outcomes)

        async def save(self, outcomes):
            await save(outcomes)

    send, receive = trio.open_memory_channel(10)
    sinks = [save, Sink().save, functools.partial(save), wrapped, Sink(), send.send]
    await napping().run([se.Event(1)], sinks=sinks)
    assert batches == [1] * 5
    assert len(receive.receive_nowait()) == 1


async def test_a_sink_that_fails_leaves_the_others_what_there_is(autojump_clock):
    """The run stops; what had ended by then is with the other sinks, and then the error leaves."""
    had, tried = [], []

    async def broken(batch):
        tried.extend(batch)
        if len(tried) > 4:
            raise OSError("disk full")

    async def slow(batch):
        await trio.sleep(0.7)
        had.extend(batch)

    with pytest.raises(OSError, match="disk full"):
        await napping().run(map(se.Event, range(50)), sinks=[broken, slow])
    assert {outcome.event.id for outcome in tried} <= {outcome.event.id for outcome in had}
    assert len({outcome.event.id for outcome in had}) == 50  # the rest as Cancelled
    assert isinstance(had[-1], se.Cancelled)


async def test_what_lags_is_named(autojump_clock):
    """`explain` says which sink it is that holds the starts up, and not that it is the consumer."""

    async def slow(batch):
        await trio.sleep(50)

    async def quick(batch):
        pass

    async with napping(buffer=3).stream(map(se.Event, range(30)), sinks=[quick, slow]) as run:
        await trio.sleep(10)
        assert "the sink 'slow' holds it back" in run.explain("A")
        async for _ in run:
            pass


async def test_batches_come_by_size_and_by_age(autojump_clock):
    """As many as it says, or what there is when the first of them is old enough, or nothing more comes."""
    batches = []

    async def save(batch):
        batches.append((trio.current_time() - begun, len(batch)))

    sink = se.sinks.of(save, size=6, linger=2.5)
    world = World(default=[("sleep", 1)])
    events = [se.Event(number, data=number) for number in range(15)]
    begun = trio.current_time()
    await world.engine([world.platform("A", limit=4)]).run(events, sinks=[sink])
    # Four a second: at 2 s the sixth is there, at 3 s two more, which do not wait for the end at 4 s.
    assert batches == [(2, 6), (3, 6), (4, 3)]


async def test_one_that_comes_alone_waits_no_longer_than_it_may(autojump_clock):
    """Its age counts from when it came."""
    came = []

    async def save(batch):
        came.append((trio.current_time() - begun, len(batch)))

    async def source():
        for number in range(3):
            await trio.sleep(10)
            yield se.Event(number)

    begun = trio.current_time()
    await napping().run(source(), sinks=[se.sinks.of(save, linger=3.0)])
    assert came == [(14, 1), (24, 1), (31, 1)]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [({"size": 0}, "size"), ({"linger": -1}, "linger"), ({"name": ""}, "write of"), ({"name": 1}, "name")],
)
def test_what_is_said_of_a_sink_is_checked(wrong, said):
    """Where it is made."""
    with pytest.raises((TypeError, ValueError), match=said):
        se.sinks.of(hangs, **wrong)
    with pytest.raises(TypeError, match="not async"):
        se.sinks.of(blocking)


def test_sinks_have_names_of_their_own():
    """As they are called; the second of a name is numbered."""
    named = named_sinks([hangs, hangs, functools.partial(hangs)])
    assert [each.name for each in named] == ["hangs", "hangs 2", "hangs 3"]
    named = named_sinks([se.sinks.of(hangs, name=name) for name in ("x", "x", "x 2", "x", "x 2")])
    assert [each.name for each in named] == ["x", "x 3", "x 2", "x 4", "x 2 2"]


def test_a_generator_of_sinks_is_refused():
    """It would be used up by the look at what is in it, and no outcome would come anywhere."""

    async def save(outcomes):
        """Have them."""

    with pytest.raises(TypeError, match=r"write sinks=\[save\]"):
        se.run([se.Platform("a", save)], [se.Event(1)], sinks=(each for each in [save]))


async def test_what_is_left_of_a_batch_lingers_no_longer_than_it_may(autojump_clock):
    """Three are put at once, two go: the third counts from then too."""
    channel = SinkChannel(2, 10.0)
    for number in range(3):
        channel.put(number)
    begun = trio.current_time()
    assert await channel.batch() == [0, 1]
    await trio.sleep(8)
    assert await channel.batch() == [2]
    assert trio.current_time() - begun == 10


class Lingering:
    """A sink that takes a while to close."""

    name = "odds"
    policy = se.sinks.SinkPolicy()

    def __init__(self, seconds, *, flushes=True):
        self._seconds, self._flushes = seconds, flushes

    async def open(self, _run):
        """Do nothing."""

    async def recover(self):
        """Do nothing."""

    async def write(self, _outcomes):
        """Write nothing."""

    async def flush(self, acknowledge):
        """Have it acknowledged, or wait for ever."""
        if not self._flushes:
            await trio.sleep_forever()
        await acknowledge()

    async def close(self):
        """Take a while."""
        await trio.sleep(self._seconds)


async def test_a_sink_that_is_cut_off_while_it_closes_has_failed(autojump_clock, caplog):
    """What it puts in place at its end may not be there: the run says so, and the log does."""
    await napping().run(map(se.Event, range(2)), sinks=[Lingering(4)])
    assert "cut off" not in caplog.text
    with pytest.raises(TimeoutError, match="'odds' took longer than 5 s to close"):
        await napping().run(map(se.Event, range(2)), sinks=[Lingering(100)])
    assert caplog.text.count("a sink was cut off while it closed") == 1


async def test_a_sink_that_was_given_up_does_not_fail_by_closing_slowly(autojump_clock, caplog):
    """What it has not had is counted already; the log tells of both."""
    async with napping().stream(map(se.Event, range(2)), sinks=[Lingering(100, flushes=False)]) as run:
        await trio.sleep(3)
        await run.stop(grace=0)
    assert run.report.undelivered == 2
    assert caplog.text.count("a sink was cut off while it closed") == 1

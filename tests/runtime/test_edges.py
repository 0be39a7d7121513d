"""What an adversary found: each of these was broken once."""

import math
import threading
from dataclasses import dataclass

import pytest
import trio

import scrapeengine as se
from scrapeengine.http.wire.connector import ForeignConnector
from support.world import World, outcomes_of, virtually

FAST = {"latency": 0, "status": 200, "hops": 0}


async def scrape_nothing(task):
    """Return at once."""


async def test_an_error_that_is_kept_and_raised_again_harms_no_one_who_met_it_first(autojump_clock):
    """The frames of a coroutine that waits to go on are left alone when a failure's frames are cleared."""
    shared = []

    async def scrape(task):
        if task.event.id == "first":
            try:
                raise ValueError("login failed")
            except ValueError as error:
                shared.append(error)
            await trio.sleep(10)
            return "fine"
        await trio.sleep(1)
        raise shared[0]

    events = [se.Event("first"), se.Event("second")]
    outcomes, _ = await outcomes_of(se.Engine([se.Platform("A", scrape)]), events)
    assert [type(outcome) for outcome in outcomes] == [se.Failure, se.Success]
    assert outcomes[0].error is shared[0]
    assert outcomes[1].value == "fine"


def test_an_exception_that_cannot_be_written_to_is_a_failure_all_the_same():
    """A frozen dataclass as an exception comes out as it is."""

    @dataclass(frozen=True)
    class Refused(Exception):
        code: int

    async def scrape(_):
        raise Refused(3)

    [outcome] = se.collect([se.Platform("A", scrape)], [se.Event(1)])
    assert isinstance(outcome.error, Refused)


async def test_stop_returns_though_the_body_leaves_meanwhile(autojump_clock):
    """A watchdog's `stop` comes back when the stream is left while it waits; and what it reports stays."""

    async def scrape(_):
        await trio.sleep(5)

    async with trio.open_nursery() as nursery:
        async with se.Engine([se.Platform("A", scrape)]).stream([se.Event("e")]) as run:
            await trio.sleep(0.5)
            nursery.start_soon(run.stop)
            await trio.sleep(0.5)
    await trio.sleep(100)
    await run.stop()
    assert run.report.elapsed == 1


async def test_a_retry_on_the_way_out_of_a_cancellation_is_too_late(autojump_clock):
    """`task.retry` in a `finally` of a task that ran too long: the task has timed out, and nothing else is touched."""

    async def scrape(task):
        async def child():
            try:
                await trio.sleep_forever()
            finally:
                task.retry()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(child)

    async def fine(_):
        await trio.sleep(5)

    engine = se.Engine([se.Platform("A", scrape, timeout=se.Timeout(task=1)), se.Platform("B", fine)])
    outcomes, _ = await outcomes_of(engine, [se.Event("e")])
    assert [type(outcome) for outcome in outcomes] == [se.Failure, se.Success]
    assert isinstance(outcomes[0].error, se.TaskTimeout)


def test_a_turn_that_is_given_up_at_its_very_instant_is_the_next_ones():
    """A waiter is cancelled as its turn comes: whoever waits behind it goes at once, whichever came first."""

    async def main():
        world, begun = World(), trio.current_time()

        async def scrape(task):
            await task.http.get("/e", params=FAST)
            if task.event.id == "a":
                with trio.move_on_at(begun + 3600):
                    await task.http.get("/e", params=FAST)
                await trio.sleep(7000)
            return trio.current_time() - begun

        platform = se.Platform(
            "A", scrape, base_url="http://a.test", rate=se.Rate.every(3600), timeout=se.Timeout(task=math.inf)
        )
        outcomes, _ = await outcomes_of(world.engine([platform]), [se.Event("a"), se.Event("b")])
        [value] = [outcome.value for outcome in outcomes if outcome.event.id == "b"]
        return value, len([time for time in world.ledger.requests["A"] if time == begun + 3600])

    for _ in range(20):
        value, requests = virtually(main)
        assert (value, requests) in {(3600, 1), (7200, 1)}  # who came first at that instant had its request


@pytest.mark.parametrize("call", [se.run, se.collect])
def test_a_sources_error_leaves_the_synchronous_face_as_it_is(call):
    """No group around it."""

    async def scrape(_):
        pass

    def source():
        yield se.Event(1)
        raise LookupError("the source")

    with pytest.raises(LookupError, match="the source"):
        call([se.Platform("A", scrape)], source())


async def test_a_request_that_outlives_its_task_is_told_so(autojump_clock):
    """A request in a nursery of the program's own neither takes a slot of the platform nor keeps one."""
    world, told = World(), []

    async with trio.open_nursery() as outer:

        async def ask(task):
            try:
                await task.http.get("/late", params=FAST)
            except RuntimeError as error:
                told.append(str(error))

        async def scrape(task):
            if task.event.id == "a":
                await task.http.get("/e", params=FAST)
                outer.start_soon(ask, task)
                await trio.sleep(1)
                outer.start_soon(ask, task)

        async def source():
            yield se.Event("a")
            await trio.sleep(500)
            yield se.Event("b")

        platform = se.Platform("A", scrape, base_url="http://a.test", limit=1, rate=se.Rate.every(10))
        _, report = await outcomes_of(world.engine([platform]), source())
    assert report.outcomes.succeeded == 2
    assert len(told) == 2
    assert "has ended" in told[0]


async def test_a_consumer_does_not_take_a_broken_sink_for_the_end(autojump_clock):
    """Code behind the loop does not run when a sink has failed."""
    after = []

    async def scrape(_):
        await trio.sleep(1)

    async def broken(_):
        raise KeyError("disk full")

    async def main():
        async with se.Engine([se.Platform("A", scrape)]).stream([se.Event(1)], sinks=[broken]) as run:
            async for _ in run:
                pass
            after.append("ran")

    with pytest.raises(KeyError):
        await main()
    assert not after


async def test_a_sinks_own_group_leaves_as_it_is(autojump_clock):
    """A sink that raises a group of one: the group leaves, and not what is in it."""
    error = ExceptionGroup("mine", [KeyError("disk full")])

    async def scrape(_):
        pass

    async def broken(_):
        raise error

    with pytest.raises(ExceptionGroup) as caught:
        await se.Engine([se.Platform("A", scrape)]).run([se.Event(1)], sinks=[broken])
    assert caught.value.message == "mine"
    assert isinstance(caught.value.exceptions[0], KeyError)


async def test_an_error_in_closing_connections_is_logged_and_the_engine_runs_again(autojump_clock, caplog):
    """It neither replaces what the body raised nor leaves the engine busy."""

    class Wire(ForeignConnector):
        async def aclose(self):
            raise OSError("aclose")

    async def scrape(_):
        pass

    engine = se.Engine([se.Platform("A", scrape)], connector=Wire(None))
    with pytest.raises(LookupError, match="mine"):
        async with engine.stream([se.Event(1)]):
            raise LookupError("mine")
    assert (await engine.run([se.Event(1)])).outcomes.succeeded == 1
    assert "aclose" in caplog.text


async def test_follow_is_bounded_though_a_closed_platform_turns_its_events_away(autojump_clock):
    """Failures that come at once count for `max_pending`, as events that wait do."""
    world = World(scripts={("x", "B"): [("request", 0, (429, 10000))]})
    refused = []

    async def spider(task):
        await trio.sleep(5)
        for number in range(500):
            try:
                task.follow(se.Event(f"child {number}", platforms=("B",)))
            except se.AgendaFull:
                refused.append(number)

    platforms = [se.Platform("A", spider), world.platform("B", limit=1)]
    engine = world.engine(platforms, buffer=10, max_pending=100)
    events = [se.Event("x", platforms=("B",)), se.Event("s", platforms=("A",))]
    async with engine.stream(events) as run:
        await trio.sleep(100)
        found = run.statistics().buffered
    assert found <= 10 + 100 + 2
    assert refused


@pytest.mark.parametrize("paused", [True, False])
async def test_a_retry_after_the_stop_runs_no_more(autojump_clock, paused):
    """What would be parked after `stop` is cancelled at once, also with a grace without end."""
    runs = []

    async def scrape(task):
        runs.append(task.attempt)
        await trio.sleep(1)
        task.retry(after=1)

    engine = se.Engine([se.Platform("A", scrape)])
    async with engine.stream([se.Event("a")]) as run:
        await trio.sleep(0.5)
        if paused:
            engine.tune("A", limit=0)
        await run.stop(math.inf)
        found = [type(outcome) async for outcome in run]
    assert found == [se.Cancelled]
    assert runs == [1]


async def test_less_patience_reaches_those_who_wait(autojump_clock):
    """Tuned down, `Retry.patience` fails at once what would have to wait for longer."""
    world = World(scripts={("x", "A"): [("request", 0, (429, 250))]})
    engine = world.engine([world.platform("A", limit=1)])

    begun = trio.current_time()
    async with engine.stream([se.Event("x"), se.Event("y")]) as run:
        await trio.sleep(1)
        engine.tune("A", retry=se.Retry(patience=10))
        outcomes = [type(outcome) async for outcome in run]
    assert (outcomes, trio.current_time() - begun) == ([se.Failure, se.Failure], 1)


async def test_a_report_may_be_read_from_another_thread():
    """A thread that shows the progress reads report and repr while the run is on."""
    shown = []

    async def scrape(_):
        await trio.sleep(0.01)

    async with se.Engine([se.Platform("A", scrape)]).stream([se.Event(1)]) as run:
        thread = threading.Thread(target=lambda: shown.extend([run.report.tasks, repr(run)]))
        thread.start()
        await trio.to_thread.run_sync(thread.join)
        async for _ in run:
            pass
    assert len(shown) == 2


@pytest.mark.parametrize(
    ("platforms", "options", "write"),
    [
        (se.Platform("A", scrape_nothing), {}, r"write \[platform\]"),
        (None, {}, r"write \[Platform\('name', scrape\)\]"),
        ([], {"default": scrape_nothing}, r"write Platform\('\*', scrape\)"),
    ],
)
def test_what_is_no_list_of_platforms_is_refused(platforms, options, write):
    """The message shows the list; `run` and `collect` say the same."""
    for make in (se.Engine, lambda *given, **more: se.run(*given, [], **more)):
        with pytest.raises(TypeError, match=write):
            make(platforms, **options)

"""Deadlines of our own connections, and what rings for them."""

import functools
import math
from heapq import heappush

import attrs
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

import scrapeengine as se
from scrapeengine.http.transport.connections import Connections
from scrapeengine.http.wire.watch import Deadline
from scrapeengine.schedule.alarms import Alarms
from scrapeengine.testing import Answer, Site
from support.world import virtually

ONCE = se.Retry(attempts=1)


# -- alarms


async def rung(main, *, until=1000.0):
    """Run alarms in virtual time while a function sets and drops them; return what has rung, and when."""
    alarms, rings = Alarms(), []

    def notifier(name):
        return lambda: rings.append((name, trio.current_time()))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(alarms.run)
        await main(alarms, notifier)
        await trio.sleep_until(until)
        assert len(alarms) == 0
        alarms.end()
    return rings


times = st.integers(0, 50).map(lambda number: number / 2)


@given(st.lists(st.tuples(times, times, st.none() | times), max_size=100))
def test_what_is_dropped_never_rings_and_the_rest_does_in_order(script):
    """Alarms are set at any time for any time, passed ones too, and dropped at any time: each rings once or not at all.

    The script is of (when it is set, for when, when it is dropped).
    """

    async def main(alarms, notifier):
        rings, steps = {}, []
        for number, (at, when, dropped) in enumerate(script):
            heappush(steps, (at, 0, number, when))
            if dropped is not None:
                heappush(steps, (max(at, dropped), 1, number, when))
        for at, kind, number, when in sorted(steps):
            await trio.sleep_until(at)
            if kind == 0:
                rings[number] = alarms.at(when, notifier(number))
            else:
                alarms.drop(rings[number])
                alarms.drop(rings[number])

    found = virtually(rung, main)
    moments = dict(found)
    assert len(moments) == len(found)
    for number, (at, when, dropped) in enumerate(script):
        due = max(at, when)
        if dropped is None or max(at, dropped) > due:
            assert moments.get(number) == due
        elif max(at, dropped) < due:
            assert number not in moments
        else:
            assert moments.get(number) in {None, due}
    assert [time for _, time in found] == sorted(time for _, time in found)


async def test_at_one_instant_they_ring_in_the_order_in_which_they_were_set(autojump_clock):
    """Equal times make no difference of their own."""

    async def main(alarms, notifier):
        for name in "cab":
            alarms.at(5, notifier(name))
        alarms.at(4, notifier("first"))

    assert await rung(main) == [("first", 4), ("c", 5), ("a", 5), ("b", 5)]


async def test_a_ring_may_set_and_drop_others(autojump_clock):
    """What is dropped by one that rings at the same instant does not ring any more."""

    async def main(alarms, notifier):
        later = []

        def first():
            alarms.drop(later[0])
            alarms.at(trio.current_time(), notifier("at once"))
            alarms.at(20, notifier("later"))

        alarms.at(10, first)
        later.append(alarms.at(10, notifier("never")))

    assert await rung(main) == [("at once", 10), ("later", 20)]


async def test_an_earlier_one_wakes_the_sleeper(autojump_clock):
    """It sleeps until the first of all, whichever was set last."""

    async def main(alarms, notifier):
        alarms.at(100, notifier("late"))
        await trio.sleep(1)
        alarms.at(10, notifier("early"))
        alarms.at(5, notifier("dropped"))
        await trio.sleep(1)

    assert [each for each in await rung(main) if each[0] != "dropped"] == [("early", 10), ("late", 100)]


async def test_to_drop_costs_no_memory(autojump_clock):
    """Of a hundred thousand that were set and dropped, nothing stays but a few."""

    async def main(alarms, notifier):
        kept = [alarms.at(500 + number, notifier(number)) for number in range(5)]
        for number in range(100_000):
            alarms.drop(alarms.at(900 + number % 7, notifier("never")))
        assert len(alarms) == len(kept) == 5
        assert len(alarms._heap) <= 70

    assert await rung(main) == [(number, 500 + number) for number in range(5)]


async def test_to_drop_twice_or_too_late_is_nothing(autojump_clock):
    """Neither another alarm nor the count is touched by it."""

    async def main(alarms, notifier):
        first, _ = alarms.at(1, notifier("first")), alarms.at(50, notifier("second"))
        await trio.sleep(10)
        alarms.drop(first)
        alarms.drop(first)
        assert len(alarms) == 1

    assert await rung(main) == [("first", 1), ("second", 50)]


# -- the deadline of one connection


@attrs.define(eq=False)
class Wire:
    """What stands for a connection: it takes note of when it was closed."""

    closed_at: float | None = None

    def close(self):
        """Take note."""
        assert self.closed_at is None
        self.closed_at = trio.current_time()


moves = st.lists(st.tuples(times, st.just(math.inf) | times), max_size=30)


@given(moves)
def test_a_connection_is_closed_when_its_deadline_has_passed(moves):
    """Whatever it was moved to before; an infinite one never passes. There is never more than one alarm for it.

    The moves are of (how long after the one before, how far ahead).
    """

    async def run():
        alarms, wire = Alarms(), Wire()
        deadline = Deadline(wire, alarms)
        expected = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(alarms.run)
            for gap, ahead in moves:
                until = trio.current_time() + gap
                if deadline.when < until:
                    expected = deadline.when
                    break
                await trio.sleep_until(until)
                if deadline.when == until:
                    expected = until
                    break
                deadline.set(trio.current_time() + ahead)
                assert len(alarms) <= 1
            else:
                expected = None if deadline.when == math.inf else deadline.when
            await trio.sleep_until(10_000)
            alarms.end()
        return expected, wire.closed_at, deadline.passed, len(alarms)

    expected, closed_at, passed, left = virtually(run)
    assert (closed_at, passed) == (expected, expected is not None)
    assert left == 0


async def test_a_deadline_that_only_moves_on_sets_its_alarm_seldom(autojump_clock):
    """A thousand requests of a connection, each with 30 s, in a thousand seconds: some thirty alarms in all."""

    class Counted(Alarms):
        made = 0

        def at(self, when, call):
            Counted.made += 1
            return super().at(when, call)

    alarms, wire = Counted(), Wire()
    deadline = Deadline(wire, alarms)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(alarms.run)
        for _ in range(1000):
            deadline.set(trio.current_time() + 30)
            await trio.sleep(1)
            deadline.when = math.inf
        alarms.end()
    closed_at = wire.closed_at
    left = len(alarms)
    assert closed_at is None
    assert left <= 1
    assert Counted.made <= 40


async def test_who_watches_no_more_does_not_ring(autojump_clock):
    """The alarm goes with the connection."""
    alarms, wire = Alarms(), Wire()
    deadline = Deadline(wire, alarms)
    deadline.set(10)
    deadline.end()
    left = len(alarms)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(alarms.run)
        await trio.sleep(20)
        alarms.end()
    assert (left, wire.closed_at) == (0, None)


# -- a run's


@pytest.fixture
def on_site():
    """Return a function that runs a scraper against a site; it gets the run's count of alarms by `alarms()`."""

    async def run(scrape, handler, *, events=1, seconds=20, **policy):
        sessions = []

        with trio.fail_after(seconds):
            async with Site.open(handler) as site:
                platform = se.Platform(
                    "A",
                    functools.partial(_scrape, scrape, sessions),
                    base_url=site.url,
                    **({"retry": ONCE} | policy),
                )
                async with se.Engine([platform], event_limit=100).stream(map(se.Event, range(events))) as run:
                    sessions.append(run._session)
                    outcomes = [outcome async for outcome in run]
                return outcomes, site.ledger

    return run


async def _scrape(scrape, sessions, task):
    return await scrape(task, lambda: len(sessions[0].parts.alarms))


def succeeded(outcomes):
    """List what the scrapers returned."""
    for outcome in outcomes:
        assert isinstance(outcome, se.Success), outcome.error
    return [outcome.value for outcome in outcomes]


@pytest.mark.parametrize("close", [True, False])
async def test_one_alarm_for_a_connection(on_site, close):
    """A thousand requests leave none behind: on as many connections, or on one."""

    async def answer(_):
        return Answer(200, headers={"Connection": "close"} if close else {})

    async def scrape(task, alarms):
        most = 0
        for _ in range(100):
            await task.http.get("/")
            most = max(most, alarms())
        return most

    outcomes, ledger = await on_site(scrape, answer, events=10, limit=10)
    # Each of ten tasks has a connection; the run has none of its own here.
    assert max(succeeded(outcomes)) <= 10
    assert ledger.requests == 1000
    assert ledger.connections == 1000 if close else ledger.connections <= 10


async def test_when_all_is_done_no_alarm_is_left_of_broken_connections(on_site):
    """Errors, timeouts and cancellations drop theirs too."""

    async def answer(request):
        if request.path == "/hang-up":
            return None
        if request.path == "/never":
            await trio.sleep_forever()
        return Answer(404 if request.path == "/404" else 200, b"x" * 100_000)

    async def scrape(task, alarms):
        for path in ("/hang-up", "/404", "/never", "/"):
            try:
                with trio.move_on_after(0.05):
                    await task.http.get(path)
            except se.RequestError:
                pass
        return alarms()

    outcomes, _ = await on_site(scrape, answer, events=20, limit=1, timeout=se.Timeout(attempt=3))
    assert max(succeeded(outcomes)) <= 1


async def never(_):
    """Answer nothing."""
    await trio.sleep_forever()


async def test_an_attempt_that_takes_too_long(on_site):
    """It ends by its limit, and says how long that was and what was waited for."""

    async def scrape(task, alarms):
        await task.http.get("/")

    [outcome] = (await on_site(scrape, never, timeout=se.Timeout(attempt=0.3)))[0]
    assert type(outcome.error) is se.AttemptTimeout
    assert outcome.error.args == ("no whole answer in 0.3 s",)
    assert outcome.error.phase == "head"
    assert 0.3 <= outcome.error.seconds < 1
    assert 0.3 <= outcome.ran < 1


async def test_the_time_to_connect_is_the_attempt_s(monkeypatch, on_site):
    """A connection that took 0.4 s leaves 0.2 of 0.6 s for the answer; the error counts both."""
    dial = Connections.connect

    async def slowly(self, origin):
        await trio.sleep(0.4)
        return await dial(self, origin)

    monkeypatch.setattr(Connections, "connect", slowly)

    async def scrape(task, alarms):
        await task.http.get("/")

    outcomes, _ = await on_site(scrape, never, timeout=se.Timeout(attempt=0.6))
    assert type(outcomes[0].error) is se.AttemptTimeout
    assert outcomes[0].error.phase == "head"
    assert 0.6 <= outcomes[0].error.seconds < 0.9
    assert 0.6 <= outcomes[0].ran < 0.9


async def test_a_connection_that_is_not_made_in_time(monkeypatch, on_site):
    """It says that it was in "connect", and that there was no connection."""

    async def for_ever(self, origin):
        await trio.sleep_forever()

    monkeypatch.setattr(Connections, "connect", for_ever)

    async def scrape(task, alarms):
        await task.http.get("/")

    outcomes, _ = await on_site(scrape, never, timeout=se.Timeout(attempt=0.3))
    error = outcomes[0].error
    assert (type(error), error.phase, error.args) == (se.AttemptTimeout, "connect", ("no connection in 0.3 s",))


@pytest.mark.parametrize(("latency", "in_time"), [(0.1, True), (0.5, False)])
async def test_a_fresh_connection_has_what_is_left_of_the_time(on_site, latency, in_time):
    """A request on a kept connection that the site then closes goes on on a fresh one, under the same deadline."""
    asked = []

    async def answer(request):
        asked.append(request.path)
        if len(asked) == 2:
            await trio.sleep(0.5)
            return None
        if len(asked) == 3:
            await trio.sleep(latency)
        return Answer(200)

    async def scrape(task, alarms):
        await task.http.get("/first")
        try:
            return (await task.http.get("/second")).elapsed.total_seconds()
        except se.AttemptTimeout as error:
            return error.seconds

    outcomes, _ = await on_site(scrape, answer, timeout=se.Timeout(attempt=0.8), retry=se.Retry(attempts=1))
    [elapsed] = succeeded(outcomes)
    assert asked == ["/first", "/second", "/second"]
    assert (0.6 <= elapsed < 0.8) if in_time else (0.8 <= elapsed < 0.95)


@pytest.mark.parametrize("kept", [True, False])
async def test_the_wait_for_a_turn_is_not_counted(on_site, kept):
    """At one request in 0.6 s, on a kept connection or a new one, each has its 0.4 s from when it is sent."""

    async def answer(_):
        await trio.sleep(0.1)
        return Answer(200, headers={} if kept else {"Connection": "close"})

    async def scrape(task, alarms):
        return [(await task.http.get("/")).elapsed.total_seconds() for _ in range(3)]

    outcomes, ledger = await on_site(scrape, answer, rate=se.Rate.every(0.6), timeout=se.Timeout(attempt=0.4))
    [elapsed] = succeeded(outcomes)
    assert all(0.1 <= each < 0.4 for each in elapsed)
    assert ledger.arrivals[2] - ledger.arrivals[0] >= 1.19


async def test_a_tuned_timeout_holds_from_the_next_request_on():
    """On a kept connection whose alarm was set for a later time: the new limit is nearer, and is kept."""
    asked = []

    async def answer(request):
        asked.append(request.path)
        if len(asked) == 2:
            await trio.sleep_forever()
        return Answer(200)

    async def scrape(task):
        await task.http.get("/first")
        engine.tune("A", timeout=se.Timeout(attempt=0.3))
        await task.http.get("/second")

    async with Site.open(answer) as site:
        platform = se.Platform("A", scrape, base_url=site.url, timeout=se.Timeout(attempt=60), retry=ONCE)
        engine = se.Engine([platform])
        with trio.fail_after(5):
            async with engine.stream([se.Event("e")]) as run:
                [outcome] = [outcome async for outcome in run]
    connections = site.ledger.connections
    assert type(outcome.error) is se.AttemptTimeout
    assert outcome.error.args == ("no whole answer in 0.3 s",)
    assert (asked, connections) == (["/first", "/second"], 1)


async def test_a_longer_timeout_holds_from_the_next_request_on():
    """The alarm of the shorter one rings, and is set anew."""

    async def answer(request):
        await trio.sleep(0.5 if request.path == "/second" else 0)
        return Answer(200)

    async def scrape(task):
        await task.http.get("/first")
        engine.tune("A", timeout=se.Timeout(attempt=5))
        return (await task.http.get("/second")).status_code

    async with Site.open(answer) as site:
        platform = se.Platform("A", scrape, base_url=site.url, timeout=se.Timeout(attempt=0.3), retry=ONCE)
        engine = se.Engine([platform])
        async with engine.stream([se.Event("e")]) as run:
            [outcome] = [outcome async for outcome in run]
    assert isinstance(outcome, se.Success), outcome.error


async def test_a_connection_at_rest_has_no_deadline(on_site):
    """What rests for longer than an attempt may take is there for the next request."""

    async def answer(_):
        return Answer(200)

    async def scrape(task, alarms):
        await task.http.get("/")
        await trio.sleep(0.8)
        return (await task.http.get("/")).status_code

    outcomes, ledger = await on_site(scrape, answer, timeout=se.Timeout(attempt=0.3))
    assert succeeded(outcomes) == [200]
    assert ledger.connections == 1


async def test_without_limits_nothing_is_watched(on_site):
    """`Timeout(attempt=inf)` sets no alarm at all."""

    async def answer(_):
        return Answer(200)

    async def scrape(task, alarms):
        await task.http.get("/")
        return alarms()

    outcomes, _ = await on_site(scrape, answer, timeout=se.Timeout(attempt=math.inf, task=math.inf))
    assert succeeded(outcomes) == [0]


async def test_each_connection_has_its_own(on_site):
    """Of twenty at once every second one is never answered: those time out, and the others do not notice."""

    async def answer(request):
        if int(request.path.strip("/")) % 2:
            await trio.sleep_forever()
        await trio.sleep(0.2)
        return Answer(200)

    async def scrape(task, alarms):
        return (await task.http.get(f"/{task.event.id}")).status_code

    outcomes, _ = await on_site(scrape, answer, events=20, limit=20, timeout=se.Timeout(attempt=0.6))
    for outcome in outcomes:
        if int(outcome.event.id) % 2:
            assert type(outcome.error) is se.AttemptTimeout
        else:
            assert outcome.value == 200

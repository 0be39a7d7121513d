"""What held a run back: shares of time are those of its events, and the knob that is named is the one that helps."""

import contextlib
import math

import attrs
import httpx
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

import scrapeengine as se
from support.strategies import abandonments, cases, quarters, requests, scripts, sleeps, troubles
from support.world import World, virtually

FOLLOWED = [("sleep", 1), ("follow", "f")]


HOOKS = {
    "run_started": "started",
    "lane_held": "held",
    "source_waiting": "unread",
    "source_ended": "none",
    "event_accepted": "accepted",
    "task_started": "starts",
    "task_resumed": "resumes",
    "task_parked": "parks",
    "task_ended": "ends",
    "platform_shut": "shuts",
    "outcome_delivered": "delivered",
}


def hook(what):
    """Make a hook that writes down what it hears."""
    return lambda self, details: self.heard.append((what, details))


class Replay(type("Listener", (se.Instrument,), {name: hook(what) for name, what in HOOKS.items()})):
    """Has written down what happens, and plays it again."""

    def __init__(self):
        self.heard = []
        self.waiting = set()
        """The tasks that were accepted and are not started, each an id and a platform."""
        self.running = set()
        self.parked = set()
        self.shut = {}
        """Until when each platform is closed."""
        self.undelivered = 0

    def intervals(self, end):
        """Yield each interval in which nothing happens: when it begins, its seconds, what holds each platform."""
        held, coming = {}, "source"
        for number, (what, details) in enumerate(self.heard):
            match what:
                case "held":
                    held[details.platform] = details.by
                case "unread":
                    coming = "lookahead"
                case "none":
                    coming = "nothing"
                case "accepted":
                    self.waiting |= {(details.event.id, name) for name in details.platforms}
                    coming = coming if details.followed else "source"
                case "shuts":
                    self.shut[details.platform] = details.until
                case "delivered":
                    self.undelivered -= 1
                case "starts" | "resumes":
                    self._move(details, self.running)
                case "parks":
                    self._move(details, self.parked)
                case "ends":
                    self._move(details.outcome)
                    self.undelivered += 1
            until = self.heard[number + 1][1].time if number + 1 < len(self.heard) else end
            yield details.time, max(0.0, min(until, end) - details.time), held, coming

    def _move(self, details, to=None):
        task = details.event.id, details.platform
        for each in (self.waiting, self.running, self.parked):
            each.discard(task)
        if to is not None:
            to.add(task)

    def allows(self, by, name, now, case):
        """Say whether a reason can be what holds a platform back, by what has happened, and by no word of it."""
        waiting, running, parked = (
            sum(platform == name for _, platform in each) for each in (self.waiting, self.running, self.parked)
        )
        limit = case.limits[name]
        events = {event for each in (self.waiting, self.running, self.parked) for event, _ in each}
        if by == "nothing":
            return not waiting
        if by == "limit":
            return waiting + parked > 0 and running == limit
        if by == "penalty":
            return waiting + parked > 0 and now < self.shut[name]
        free = waiting + parked > 0 and running < limit and now >= self.shut.get(name, 0)
        if by in {"consumer", "sinks", "store"}:
            return free and self.undelivered >= case.options["buffer"]
        return (
            free
            and {
                "rate": name in case.rates,
                "parked": running + parked >= 2 * limit,
                "event limit": len(events) >= case.options["event_limit"],
            }[by]
        )


OPTIONS = st.fixed_dictionaries({"buffer": st.sampled_from([1, 2, 1000])})


@given(cases(steps=scripts(sleeps, requests, troubles, abandonments), options=OPTIONS), quarters)
def test_shares_are_those_of_a_replay_of_the_events(case, reading):
    """And each reason is one that what has happened allows: while a limit holds it back, as many tasks run."""
    _, engine = case.build(random=lambda: 0.5)
    recording, replay = se.observe.Recording(), Replay()

    async def main():
        async with engine.stream(case.events, instruments=[recording, replay]) as run:
            async for _ in run:
                await trio.sleep(reading)
        return run.report

    report = virtually(main)
    begun = replay.heard[0][1].time
    accounts, limited = {name: {} for name in case.limits}, 0.0
    for now, seconds, held, coming in replay.intervals(begun + report.elapsed):
        for name, account in accounts.items():
            by = held.get(name, "nothing")
            if seconds:
                assert replay.allows(by, name, now, case), (by, now)
            if by == "nothing" and coming == "lookahead" and replay.undelivered >= case.options["buffer"]:
                by = "consumer"
            reason = coming if by == "nothing" else by
            account[reason] = account.get(reason, 0.0) + seconds
        limited += seconds * ("event limit" in held.values())
    for name, account in accounts.items():
        found = report.figures.held[name]
        expected = {reason: each / report.elapsed for reason, each in account.items() if each} if report.elapsed else {}
        assert found.shares == pytest.approx(expected or {"nothing": 1.0})
        assert math.isclose(sum(found.shares.values()), 1.0)
        assert found.sentence.startswith(f"{name}: ")
    assert report.figures.event_limit == pytest.approx(limited / report.elapsed if report.elapsed else 0.0)


@attrs.frozen
class Knobs:
    """The knobs of a constructed run: 40 events on platform A."""

    limit: int = 50
    rate: float | None = None
    event_limit: int = 100
    lookahead: int = 1000
    buffer: int = 1000
    reading: float = 0.0
    """Seconds that the consumer takes for an outcome."""
    sinking: float = 0.0
    """Seconds that a sink takes for an outcome."""
    storing: float = 0.0
    """Seconds that the store takes to accept the end of a job."""
    coming: float = 0.0
    """Seconds until the source gives the next event."""
    penalty: float = 0.0
    """Seconds for which A closes at its first request."""
    pause: float = 0.0
    """Seconds for which A is paused in the middle of the run."""
    others: int = 0
    """Events before each one that have work of 1 s on another platform only, one at a time."""


SLOW = {"limit": 2, "buffer": 2}
"""Two tasks a second, for which there is no room where outcomes are taken more slowly."""
CASES = {
    # which reason binds: what the knobs are; the one that helps; others that do not
    "limit": ({"limit": 2}, {"limit": 4}, {"event_limit": 200, "rate": 1000}),
    "limit, with a rate": ({"limit": 2, "rate": 100}, {"limit": 4}, {"rate": 200, "event_limit": 200}),
    "limit, with a consumer": ({"limit": 2, "reading": 0.1}, {"limit": 4}, {"reading": 0.0, "buffer": 2000}),
    "rate": ({"rate": 2}, {"rate": 4}, {"limit": 100, "event_limit": 200}),
    "rate, with a limit": ({"rate": 2, "limit": 10}, {"rate": 4}, {"limit": 20, "buffer": 2000}),
    "event limit": ({"event_limit": 2}, {"event_limit": 4}, {"limit": 100}),
    "event limit, with a rate": ({"event_limit": 2, "rate": 100}, {"event_limit": 4}, {"limit": 100, "rate": 200}),
    "consumer": (SLOW | {"reading": 1}, {"reading": 0.5}, {"limit": 4, "event_limit": 200, "buffer": 4}),
    "sinks": (SLOW | {"sinking": 1}, {"sinking": 0.5}, {"limit": 4, "event_limit": 200}),
    "sinks, with a consumer": (SLOW | {"sinking": 1, "reading": 0.1}, {"sinking": 0.5}, {"reading": 0.0, "limit": 4}),
    "consumer, with sinks": (SLOW | {"reading": 1, "sinking": 0.1}, {"reading": 0.5}, {"sinking": 0.0, "limit": 4}),
    "store": (SLOW | {"storing": 1}, {"storing": 0.5}, {"limit": 4, "event_limit": 200}),
    "source": ({"coming": 1}, {"coming": 0.5}, {"limit": 100, "event_limit": 200, "lookahead": 2000}),
    "lookahead": ({"lookahead": 4, "others": 2}, {"lookahead": 1000}, {"limit": 100, "event_limit": 200}),
    "penalty": ({"penalty": 60, "limit": 10}, {"penalty": 20}, {"limit": 20, "event_limit": 200}),
    "pause": ({"pause": 60, "limit": 10}, {"pause": 20}, {"limit": 20, "event_limit": 200}),
}


class SlowStore:
    """A store in memory that takes its time to accept ends."""

    def __init__(self, store, seconds):
        self._store = store
        self._seconds = seconds

    def __getattr__(self, name):
        """Do all else as the store does."""
        return getattr(self._store, name)

    async def complete(self, completions):
        """Take so long for each."""
        await trio.sleep(self._seconds * len(completions))
        return await self._store.complete(completions)


async def played(knobs):
    """Run the 40 events; return the seconds until A's last task has ended, and what held A back."""
    refused = [("request", 0.0, (429, knobs.penalty)), ("request", 1, 200)]
    world = World(default=[("request", 1, 200)])
    if knobs.penalty:
        world.scripts["0", "A"] = refused
    rate = None if knobs.rate is None else se.Rate(knobs.rate)
    retry = se.Retry(attempts=2, initial_wait=1, patience=600)
    platforms = [world.platform("A", limit=knobs.limit, rate=rate, retry=retry), world.platform("B", limit=1)]
    options = {"event_limit": knobs.event_limit, "lookahead": knobs.lookahead, "buffer": knobs.buffer}
    engine = world.engine(platforms, **options)
    events = []
    for number in range(40):
        events += [se.Event(f"b{number}.{n}", platforms=["B"]) for n in range(knobs.others)]
        events.append(se.Event(number, platforms=["A"]))
    recording, begun = se.observe.Recording(), trio.current_time()

    async def source():
        for event in events:
            await trio.sleep(knobs.coming)
            yield event

    async def sink(outcomes):
        await trio.sleep(knobs.sinking * len(outcomes))

    async def tuned(run):
        if knobs.pause:
            await trio.sleep(0.5)
            engine.tune("A", limit=0)
            await trio.sleep(knobs.pause)
            engine.tune("A", limit=knobs.limit)

    sinks = [sink] if knobs.sinking else []
    async with contextlib.AsyncExitStack() as stack:
        if knobs.storing:
            store = await stack.enter_async_context(se.open_store("memory:"))
            await engine.enqueue(store, events)
            opening = engine.serve(SlowStore(store, knobs.storing), until="empty", sinks=sinks, instruments=[recording])
        else:
            given = source() if knobs.coming else events
            opening = engine.stream(given, sinks=sinks, instruments=[recording])
        run = await stack.enter_async_context(opening)
        nursery = await stack.enter_async_context(trio.open_nursery())
        nursery.start_soon(tuned, run)
        last = begun
        async for outcome in run:
            if outcome.platform == "A":
                last = trio.current_time()
            await trio.sleep(knobs.reading)
    return last - begun, run.report.figures.held["A"]


@pytest.mark.parametrize("case", CASES)
async def test_what_is_named_is_what_helps(case, autojump_clock):
    """The run is shorter by far where that is raised, or made faster, and as long as before where another one is."""
    knobs, helps, others = CASES[case]
    # What comes at one instant comes in any order, and how sinks' batches fall with it: by 6 s of 46, in one of ten.
    took, held = min([await played(Knobs(**knobs)) for _ in range(6)], key=lambda play: play[0])
    named = case.partition(",")[0]
    assert max(held.shares, key=held.shares.get) == named
    assert math.isclose(sum(held.shares.values()), 1.0)
    assert WORDS[named] in held.sentence
    refused = held.sentence.partition("raising")[2]  # what would not help, as it says
    doubled = {knob: 2 * getattr(Knobs(**knobs), knob) for knob, words in NAMES.items() if words in refused}
    for knob, value in (others | doubled).items():
        again, _ = await played(Knobs(**{**knobs, knob: value}))
        assert again > 0.9 * took, knob
    faster, _ = await played(Knobs(**{**knobs, **helps}))
    assert faster < 0.75 * took


WORDS = {
    "limit": "its limit of 2 held it back",
    "rate": "its rate (0.5 s between requests) held it back",
    "event limit": "the event limit held it back",
    "consumer": "the consumer, which did not read outcomes in time, held it back",
    "sinks": "the sinks, which did not take outcomes in time, held it back",
    "store": "the store, which did not accept outcomes in time, held it back",
    "source": "the source, or the store, which gave no work, held it back",
    "lookahead": "the lookahead or max_pending, for which the source was not read on, held it back",
    "penalty": "a penalty, for it had asked not to be called, held it back",
    "pause": "a pause (a limit of 0, or in the store) held it back",
}
NAMES = {"limit": "its limit", "rate": "its rate", "event_limit": "the event limit"}


async def test_a_slow_source_and_what_it_is_not_read_on_for(autojump_clock):
    """Where no work waits it is said why: none comes, or none is asked for."""

    async def slow():
        for number in range(10):
            await trio.sleep(1)
            yield se.Event(number)

    world = World(default=[("sleep", 0.1)])
    report = await world.engine([world.platform("A")]).run(slow(), instruments=[se.observe.Recording()])
    found = report.figures.held["A"]
    assert found.shares == pytest.approx({"source": 10 / 10.1, "nothing": 0.1 / 10.1}, abs=1e-6)
    assert "the source, or the store, which gave no work, held it back 99 % of the time" in found.sentence
    events = [se.Event(n, platforms=["A"]) for n in range(20)]
    engine = world.engine([world.platform("A", limit=1), world.platform("B")], lookahead=3)
    found = (await engine.run(events, instruments=[se.observe.Recording()])).figures.held["B"]
    assert max(found.shares, key=found.shares.get) == "lookahead"
    assert "lookahead or max_pending, for which the source was not read on" in found.sentence


async def test_what_tasks_follow_is_no_word_of_the_source(autojump_clock):
    """It is not read on all the same."""
    world = World(scripts={("1", "A"): [*FOLLOWED, ("sleep", 9)]}, default=[("sleep", 10)])
    engine = world.engine([world.platform("A", limit=2), world.platform("B")], lookahead=1)
    events = [se.Event(n, platforms=["A"]) for n in range(1, 5)]
    found = (await engine.run(events, instruments=[se.observe.Recording()])).figures.held["B"]
    assert found.shares == pytest.approx({"lookahead": 2 / 3, "nothing": 1 / 3})


async def test_penalties_pauses_and_consumers_are_told_apart(autojump_clock):
    """Each has its share."""
    world = World(scripts={("0", "A"): [("request", 1, (429, 30))]}, default=[("sleep", 1)])
    engine = world.engine([world.platform("A", limit=1, retry=se.Retry(attempts=1))], buffer=2)
    async with engine.stream(map(se.Event, range(12)), instruments=[se.observe.Recording()]) as run:
        async for outcome in run:
            if outcome.event.id == "2":
                engine.tune("A", limit=0)
                await trio.sleep(20)
                engine.tune("A", limit=1)
                await trio.sleep(50)
    shares = run.report.figures.held["A"].shares
    assert {"penalty", "pause", "consumer", "limit"} <= shares.keys()
    assert shares["penalty"] * run.report.elapsed == pytest.approx(30)
    assert shares["pause"] * run.report.elapsed == pytest.approx(20)
    assert shares["consumer"] * run.report.elapsed == pytest.approx(49)  # one that went on first filled it


async def test_it_knows_how_a_run_stands_that_it_joins(autojump_clock):
    """What had held the platforms back before it came, it is told."""
    world = World(default=[("sleep", 10)])
    engine = world.engine([world.platform("A", limit=1)])
    async with engine.stream(map(se.Event, range(3)), instruments=[Replay()]) as run:
        await trio.sleep(5)
        run.watch(se.observe.Recording())
        await trio.sleep(1)
        assert run.report.figures.held["A"].shares == {"limit": 1.0}
        engine.tune("A", limit=2, rate=se.Rate(5))
        async for _ in run:
            pass
    assert "its limit of 2" in run.report.figures.held["A"].sentence


async def test_of_hosts_that_have_gone_nothing_is_kept(autojump_clock):
    """Also where their work was turned away, and nobody was served there."""

    async def visit(task):
        await task.http.get(task.event.url, check=False)

    engine = se.Engine(
        [],
        default=se.Platform("*", visit, limit=1, retry=se.Retry(attempts=1, patience=1)),
        connector=httpx.MockTransport(lambda _: httpx.Response(429, headers={"retry-after": "1000"})),
    )
    recording = se.observe.Recording()
    events = [se.Event(url=f"http://h{n % 50}.test/{n}") for n in range(200)]
    report = await engine.run(events, instruments=[recording])
    assert report.outcomes.failed > 100
    assert report.figures.held.keys() == {"*"}
    assert not recording._holding._binding._hosts["*"].now

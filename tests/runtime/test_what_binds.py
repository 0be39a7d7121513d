"""What held a run back: shares of time are those of its events, and the knob that is named is the one that helps."""

import math

import httpx
import pytest
import trio
from hypothesis import given

import scrapeengine as se
from support.strategies import abandonments, cases, requests, scripts, sleeps, troubles
from support.world import World, outcomes_of, virtually

FOLLOWED = [("sleep", 1), ("follow", "f")]


HOOKS = {
    "run_started": "started",
    "lane_held": "held",
    "source_waiting": "unread",
    "source_ended": "none",
    "event_accepted": "accepted",
    "task_started": "runs",
    "task_resumed": "runs",
    "task_parked": "parks",
    "task_ended": "ends",
}


def hook(what):
    """Make a hook that writes down what it hears."""
    return lambda self, details: self.heard.append((what, details))


class Replay(type("Listener", (se.Instrument,), {name: hook(what) for name, what in HOOKS.items()})):
    """Has written down what a recording hears of, and what runs."""

    def __init__(self):
        self.heard = []

    def intervals(self, end):
        """Yield each interval in which nothing happens: seconds, what holds each platform, and what runs."""
        held, running, coming = {}, set(), "source"
        for number, (what, details) in enumerate(self.heard):
            match what:
                case "held":
                    held[details.platform] = details.by
                case "unread":
                    coming = "lookahead"
                case "none":
                    coming = "nothing"
                case "accepted" if not details.followed:
                    coming = "source"
                case "runs":
                    running.add((details.event.id, details.platform))
                case "parks":
                    running.discard((details.event.id, details.platform))
                case "ends":
                    running.discard((details.outcome.event.id, details.outcome.platform))
            until = self.heard[number + 1][1].time if number + 1 < len(self.heard) else end
            yield max(0.0, min(until, end) - details.time), held, coming, running


@given(cases(steps=scripts(sleeps, requests, troubles, abandonments)))
def test_shares_are_those_of_a_replay_of_the_events(case):
    """And while a limit holds a platform back, as many of its tasks run."""
    _, engine = case.build(random=lambda: 0.5)
    recording, replay = se.observe.Recording(), Replay()
    _, report = virtually(outcomes_of, engine, case.events, instruments=[recording, replay])
    begun = replay.heard[0][1].time
    accounts, limited = {name: {} for name in case.limits}, 0.0
    for seconds, held, coming, running in replay.intervals(begun + report.elapsed):
        for name, account in accounts.items():
            by = held.get(name, "nothing")
            if by == "limit" and seconds:
                assert sum(platform == name for _, platform in running) == case.limits[name]
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


TURNS = {
    # what binds: (limit, rate, event limit); what it becomes where that is raised; and where another is
    "limit": ((2, None, 50), (4, None, 50), (2, None, 100)),
    "limit, with a rate": ((2, 100, 50), (4, 100, 50), (2, 200, 50)),
    "rate": ((10, 2, 50), (10, 4, 50), (20, 2, 100)),
    "event limit": ((10, None, 2), (10, None, 4), (20, None, 2)),
    "event limit, with a rate": ((10, 100, 2), (10, 100, 4), (20, 200, 2)),
}


@pytest.mark.parametrize("case", TURNS)
async def test_the_knob_that_is_named_is_the_one_that_helps(case, autojump_clock):
    """The run is shorter by far where that is raised, and as long as before where another one is."""
    took, said = [], []
    for limit, rate, event_limit in TURNS[case]:
        world = World(default=[("request", 1, 200)])
        platform = world.platform("A", limit=limit, rate=rate and se.Rate(rate))
        engine = world.engine([platform], event_limit=event_limit)
        report = await engine.run(map(se.Event, range(40)), instruments=[se.observe.Recording()])
        took.append(report.elapsed)
        said.append(report.figures.held["A"])
    named = case.partition(",")[0]
    assert max(said[0].shares, key=said[0].shares.get) == named
    words = {"limit": "its limit of 2", "rate": "its rate (0.5 s between requests)", "event limit": "the event limit"}
    assert f"A: {words[named]} held it back" in said[0].sentence
    assert took[1] < 0.7 * took[0]
    assert took[2] == pytest.approx(took[0], rel=0.02)


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
    assert "the source, which gave no work, held it back 99 % of the time" in found.sentence
    events = [se.Event(n, platforms=["A"]) for n in range(20)]
    engine = world.engine([world.platform("A", limit=1), world.platform("B")], lookahead=3)
    found = (await engine.run(events, instruments=[se.observe.Recording()])).figures.held["B"]
    assert max(found.shares, key=found.shares.get) == "lookahead"
    assert "lookahead, max_pending or buffer, for which the source was not read on" in found.sentence


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
    assert {"penalty", "pause", "buffer", "limit"} <= shares.keys()
    assert shares["penalty"] * run.report.elapsed == pytest.approx(30)
    assert shares["pause"] * run.report.elapsed == pytest.approx(20)
    assert shares["buffer"] * run.report.elapsed == pytest.approx(49)  # one that went on first filled it


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

"""The statistics of a run: what holds each platform back and since when, from any thread, and after the run."""

import sys
import threading

import httpx
import pytest
import trio
from hypothesis import given

import scrapeengine as se
from scrapeengine.decide.gate import Gate
from support.strategies import cases, requests, scripts, sleeps, troubles
from support.threads import elsewhere
from support.world import World, scheduled_alike, virtually


def held(run, platform="A"):
    """Say what holds a platform back, and for how long; the same in another thread."""
    found = run.statistics()
    assert elsewhere(run.statistics) == found
    return found.platforms[platform].held_by, pytest.approx(found.platforms[platform].held_for)


async def drain(run):
    """Read outcomes."""
    async for _ in run:
        pass


HELD = {
    # a platform's policy, the engine's options; what is said after 1 s, and 2 s after the second task has started
    "limit": ({"limit": 1}, {}, 10),
    "rate": ({"rate": se.Rate.every(5)}, {}, 5),
    "event limit": ({}, {"event_limit": 1}, 10),
}


@pytest.mark.parametrize("by", HELD)
async def test_it_is_held_back_since_a_task_last_started(by, autojump_clock):
    """By its limit, its rate, or the event limit: each start begins anew."""
    policy, options, second = HELD[by]
    world = World(default=[("sleep", 10)])
    engine = world.engine([world.platform("A", **policy)], **options)
    async with engine.stream(map(se.Event, range(3))) as run, trio.open_nursery() as nursery:
        nursery.start_soon(drain, run)
        await trio.sleep(1)
        assert held(run) == (by, 1)
        await trio.sleep(second + 1)
        assert held(run) == (by, 2)
    assert held(run) == ("nothing", 0)


async def test_the_consumer_holds_it_back(autojump_clock):
    """Nobody reads, since the last task started."""
    world = World(default=[("sleep", 1)])
    async with world.engine([world.platform("A", limit=3)], buffer=2).stream(map(se.Event, range(20))) as run:
        await trio.sleep(5)
        assert held(run) == ("consumer", 4)  # three started at once, and one more in the place of the first that ended
        await drain(run)


async def test_parked_tasks_hold_it_back(autojump_clock):
    """With twice its limit begun, all parked for a while, none starts."""
    world = World(default=[("request", 1, 500), ("sleep", 1)])
    retry = se.Retry(attempts=2, initial_wait=100, max_wait=100)
    engine = world.engine([world.platform("A", limit=2, retry=retry)], random=lambda: 1.0)
    async with engine.stream(map(se.Event, range(9))) as run, trio.open_nursery() as nursery:
        nursery.start_soon(drain, run)
        await trio.sleep(10)
        assert held(run) == ("parked", 9)
        assert run.statistics().platforms["A"].parked == 4
        await run.stop(0)


async def test_work_that_comes_later_waits_since_then(autojump_clock):
    """Not since the platform last had some."""
    world = World(scripts={("0", "B"): [("sleep", 1)]}, default=[("sleep", 20)])

    async def events():
        yield se.Event(0, platforms=["B"], priority=1)
        yield se.Event(1, platforms=["A"])
        await trio.sleep(7)
        yield se.Event(2, platforms=["B"])

    async with world.engine([world.platform("A"), world.platform("B")], event_limit=1).stream(events()) as run:
        await trio.sleep(3)
        assert held(run, "B") == ("nothing", 0)
        await trio.sleep(6)
        assert held(run, "B") == ("event limit", 2)
        assert held(run, "A") == ("nothing", 0)
        await drain(run)


async def test_what_is_parked_waits_too(autojump_clock):
    """Since it was parked, where nothing else has waited for longer."""
    world = World(scripts={("x", "A"): [("sleep", 1), ("retry", 10)]}, default=[("sleep", 50)])
    engine = world.engine([world.platform("A"), world.platform("B")], event_limit=1)
    events = [se.Event("x", platforms=["A"]), se.Event("y", platforms=["B"])]
    async with engine.stream(events) as run:
        await trio.sleep(6)
        assert held(run) == ("nothing", 0)  # it has asked for these ten seconds itself
        await trio.sleep(9)
        assert held(run) == ("event limit", 14)
        await drain(run)


async def test_a_task_that_comes_back_counts_as_a_start(autojump_clock):
    """It has the place that another one waits for."""
    scripts = {("x", "A"): [("sleep", 1), ("retry", 10), ("sleep", 50)], ("y", "A"): [("sleep", 15)]}
    world = World(scripts=scripts, default=[("sleep", 50)])
    async with world.engine([world.platform("A", limit=1)]).stream(map(se.Event, "xyz")) as run:
        await trio.sleep(10)
        assert held(run) == ("limit", 9)
        await trio.sleep(10)
        assert run.statistics().platforms["A"].running == 1
        assert held(run) == ("limit", 4)  # y has run from 1 to 16, and x runs again since then
        await run.stop(0)


async def test_what_comes_after_a_pause_or_a_penalty_counts_from_their_end(autojump_clock):
    """It could not have started before."""
    world = World(default=[("sleep", 50)])
    engine = world.engine([world.platform("A"), world.platform("B", limit=0), world.platform("C")], event_limit=1)
    events = [se.Event(name, platforms=[name]) for name in "ABC"]
    async with engine.stream(events) as run:
        engine.close("C", 5)
        await trio.sleep(2)
        assert (held(run, "B"), held(run, "C")) == (("pause", 2), ("penalty", 2))
        await trio.sleep(3)
        engine.tune("B", limit=4)
        await trio.sleep(2)
        assert (held(run, "B"), held(run, "C")) == (("event limit", 2), ("event limit", 2))
        await drain(run)


async def test_a_task_that_goes_on_counts_as_a_start(autojump_clock):
    """One that comes back when the platform opens takes the place of the next one."""
    world = World(scripts={("x", "A"): [("sleep", 2), ("request", 50, 200)]}, default=[("sleep", 50)])
    engine = world.engine([world.platform("A", limit=1)])
    async with engine.stream([se.Event("x", priority=1), se.Event("y")]) as run, trio.open_nursery() as nursery:
        nursery.start_soon(drain, run)
        await trio.sleep(1)
        engine.close("A", 20)
        await trio.sleep(10)
        platform = run.statistics().platforms["A"]
        assert (platform.parked, platform.held_by, platform.held_for, platform.opens_in) == (1, "penalty", 10, 10)
        await trio.sleep(13)
        assert held(run) == ("limit", 3)
        await run.stop(0)


async def test_platforms_without_work_are_there_too(autojump_clock):
    """With their limits; paused, closed, or as they are. So is a host that was tuned, or is closed."""
    world = World(default=[("sleep", 30)])
    engine = world.engine(
        [world.platform("A"), world.platform("B", limit=0), world.platform("C", limit=3)],
        default=world.platform("*", limit=6),
    )
    async with engine.stream([se.Event(1, platforms=["A"])]) as run:
        engine.tune("tuned.test", limit=5)
        await trio.sleep(2)
        engine.close("C", 100)
        engine.close("closed.test", 50)
        engine.tune("A", limit=0)
        engine.tune("tuned.test", limit=0)
        await trio.sleep(1)
        found = run.statistics()
        stand = {name: (each.limit, each.held_by, each.held_for) for name, each in found.platforms.items()}
        assert stand == {
            "A": (0, "pause", 1),
            "B": (0, "pause", 3),
            "C": (3, "penalty", 1),
            "tuned.test": (0, "pause", 1),
            "closed.test": (6, "penalty", 1),
        }
        assert found.platforms["C"].opens_in == found.closed["C"] == 99
        assert run.explain("A").startswith("A: it is paused")
        assert run.explain("B") == "B: it is paused, for its limit is 0; go on with tune('B', limit=…)"
        assert run.explain("C").startswith("C: it has asked not to be called for another 99.0 s; 0 of 3 tasks running")
        assert elsewhere(run.explain, "closed.test") == "closed.test: it has asked not to be called for another 49.0 s"
        assert run.explain("other.test") == "other.test: no work waits there"
        engine.tune("B", limit=1)
        engine.reopen("C")
        assert (held(run, "B"), held(run, "C")) == (("nothing", 0), ("nothing", 0))
        engine.tune("A", limit=1)
        await drain(run)


async def test_a_penalty_of_an_earlier_run_counts_from_when_it_began(autojump_clock):
    """The gate outlives the run."""
    world = World(default=[("sleep", 1)])
    engine = world.engine([world.platform("A"), world.platform("B")])
    async with engine.stream([se.Event(1, platforms=["A"])]) as run:
        engine.close("B", 100)
        await drain(run)
    await trio.sleep(10)
    async with engine.stream([se.Event(1, platforms=["A"])]) as run:
        assert held(run, "B") == ("penalty", 11)
        await drain(run)


def test_they_stay_as_they_were_when_the_run_ended():
    """Outside of any loop, and whatever later runs of the engine do."""
    kept = []

    async def main():
        world = World(default=[("sleep", 1)])
        engine = world.engine([world.platform("A"), world.platform("B")])
        async with engine.stream([se.Event(1, platforms=["A"])]) as run:
            engine.close("B", 100)
            await drain(run)
        kept.extend([run, run.statistics()])
        engine.reopen("B")
        engine.tune("A", limit=3)
        await engine.run([se.Event(1, platforms=["B"])])
        assert run.statistics() == kept[1]
        assert engine._session is None

    virtually(main)
    run, last = kept
    assert run.statistics() == elsewhere(run.statistics) == last
    assert (last.platforms["B"].held_by, last.platforms["B"].held_for) == ("penalty", 1)
    assert (last.running, last.live, last.closed) == (0, 0, {"B": 99})
    assert last.platforms["A"].limit == 8


class Looker:
    """An instrument that looks at the run at each thing that happens."""

    def __init__(self):
        self.run = None
        self.seen = []

    def __getattr__(self, name):
        """Look, whatever is told."""
        if name.startswith("_") or name in {"run_started", "request_begun"}:
            raise AttributeError(name)
        return lambda _: self.seen.append(self.run and self.run.statistics())


@given(cases(steps=scripts(sleeps, requests, troubles)))
def test_to_look_changes_nothing(case):
    """A run that is looked at in the middle of each step is the same as one that is not."""
    runs = []
    for looker in (None, Looker()):
        _, engine = case.build(random=lambda: 0.5)

        async def main(engine=engine, looker=looker):
            found = []
            async with engine.stream(case.events, instruments=[looker] if looker else []) as run:
                if looker:
                    looker.run = run
                async for outcome in run:
                    found.append(outcome)
            return found

        with scheduled_alike():
            outcomes = virtually(main)
        runs.append([(each.event.id, each.platform, type(each), each.ran, each.parked) for each in outcomes])
    assert runs[0] == runs[1]
    for found in filter(None, looker.seen):
        for platform in found.platforms.values():
            assert platform.held_for >= 0
            assert (platform.held_by == "pause") is not platform.limit


async def test_a_look_at_closed_hosts_bears_that_they_change_meanwhile(autojump_clock, monkeypatch):
    """As they may where the look comes from another thread: one that has no work is worked on again."""
    is_closed, again = Gate.closed, []

    async def scrape(task):
        await task.http.get(task.event.url)

    def closes_again(gate, now):
        while again:
            engine.close(again.pop(), 20)
        return is_closed(gate, now)

    default = se.Platform("*", scrape, limit=2, retry=se.Retry(attempts=1))
    site = httpx.MockTransport(lambda _: httpx.Response(429, headers={"Retry-After": "10"}))
    engine = se.Engine([], default=default, connector=site)
    hosts = [f"h{number}.test" for number in range(3)]
    async with engine.stream([se.Event(url=f"http://{host}/") for host in hosts]) as run:
        await drain(run)
        monkeypatch.setattr(Gate, "closed", closes_again)
        again.append(hosts[2])
        found = run.statistics()
    assert not again
    assert {name: each.held_by for name, each in found.platforms.items()} == dict.fromkeys(hosts, "penalty")


async def test_another_thread_may_look_while_everything_changes():
    """Lanes that come and go, penalties, knobs, kinds of failures: nothing is raised, numbers stay in bounds."""
    ended, looked = threading.Event(), []
    names = [f"h{number}.test" for number in range(300)]
    kinds = [type(f"Error{number}", (Exception,), {}) for number in range(200)]

    async def scrape(task):
        number = int(task.event.id.rpartition("/")[2])
        await task.http.get(task.event.url, check=False)
        raise kinds[number % 200]

    def look():
        try:
            while not ended.wait(0.0005):
                found, settings, report = run.statistics(), engine.settings(), run.report
                assert 0 <= found.in_progress <= 100
                assert report.outcomes.failed <= 400
                assert settings.platforms["*"].limit == 2
                run.explain()
                looked.append(found)
        except BaseException as error:  # noqa: BLE001 - it is raised where the test is
            looked.append(error)

    def answer(_):
        return httpx.Response(429, headers={"Retry-After": "0.01"})

    default = se.Platform("*", scrape, limit=2, rate=se.Rate(5000), retry=se.Retry(attempts=1))
    engine = se.Engine([], default=default, connector=httpx.MockTransport(answer))
    events = (se.Event(url=f"http://{names[number % 300]}/{number}") for number in range(400))
    thread, before = threading.Thread(target=look), sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        async with engine.stream(events) as run:
            thread.start()
            async for outcome in run:
                if int(outcome.event.id.rpartition("/")[2]) % 20 == 0:
                    engine.tune(f"t{outcome.event.id[-5:]}.test", limit=3)
                    engine.close(names[0], 0.01)
    finally:
        ended.set()
        thread.join()
        sys.setswitchinterval(before)
    assert run.report.outcomes.failed == 400
    assert len(looked) > 3
    assert not [each for each in looked if isinstance(each, BaseException)]


async def test_a_served_run_says_it_too(autojump_clock):
    """What others leave, and what is paused, on a store."""
    world = World(default=[("sleep", 10)])
    engine = world.engine([world.platform("A", limit=1), world.platform("B", limit=0)])
    async with se.open_store("memory:") as store:
        await engine.enqueue(store, map(se.Event, range(3)))
        async with engine.serve(store) as run, trio.open_nursery() as nursery:
            nursery.start_soon(drain, run)
            await trio.sleep(4)
            (by, since), (paused, begun) = held(run), held(run, "B")
            assert (by, paused) == ("limit", "pause")
            assert 3.5 < since.expected <= 4
            assert begun == 4
            await run.stop(0)

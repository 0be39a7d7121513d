"""What a recording keeps for the report to draw: each task as it went, to the instant, in bounded memory."""

import httpx
import pytest
import trio
from hypothesis import given

import scrapeengine as se
from scrapeengine.testing import Answer, Site
from support.strategies import cases, requests, scripts, sleeps, troubles
from support.world import World, virtually


def bars_of(report):
    """Return the bars by event's id and platform."""
    return {(bar.id, bar.platform): bar for bar in report.figures.history.bars}


@given(cases(steps=scripts(sleeps, requests, troubles)))
def test_each_task_is_drawn_as_it_went(case):
    """Its ledger of the simulated platforms has begun and ended it at the same instants, and its outcome adds up."""
    _, engine = case.build(random=lambda: 0.5)
    found = {}

    async def main():
        began = trio.current_time()
        async with engine.stream(case.events, instruments=[se.observe.Recording()]) as run:
            async for outcome in run:
                found[outcome.event.id, outcome.platform] = outcome
        return began, run.report

    began, report = virtually(main)
    history = report.figures.history
    bars = bars_of(report)
    assert history.began == began
    assert {key for key, outcome in found.items() if outcome.attempts} == set(bars)
    assert not history.left_out
    for key, bar in bars.items():
        outcome = found[key]
        assert (
            bar.kind
            == {se.Success: "succeeded", se.Failure: "failed", se.Skipped: "skipped", se.Cancelled: "cancelled"}[
                type(outcome)
            ]
        )
        assert bar.error == (type(outcome.error).__name__ if isinstance(outcome, se.Failure) else "")
        assert bar.ran == pytest.approx(outcome.parked + outcome.ran)
        assert bar.queued == outcome.queued
        assert sum(bar.parked[1::2]) - sum(bar.parked[::2]) == pytest.approx(outcome.parked)
        assert list(bar.parked) == sorted(bar.parked)
        assert bar.ended - bar.ran - bar.queued >= began - 1e-9
    sent = sum(sum(pace.used) for pace in history.paces.values())
    assert sent == sum(each.requests for each in report.figures.platforms.values())
    assert set(history.examples) == set(report.errors) or not all(each.attempts for each in found.values())


async def test_parked_and_closed_times_are_where_they_were(autojump_clock):
    """A 429 that asks for 5 s: the task is parked and the platform closed meanwhile."""
    world = World({("1", "A"): [("request", 1, (429, 5))]}, default=[("request", 1, 200)])
    platform = world.platform("A", limit=1, rate=se.Rate(2))
    engine = world.engine([platform])
    report = await engine.run([se.Event(1)], instruments=[se.observe.Recording()])
    history = report.figures.history
    (bar,) = history.bars
    closing, _ = history.closings  # the second attempt is refused too
    assert [each - history.began for each in bar.parked] == [1, 6]
    assert (closing.began - history.began, closing.until - closing.began) == (1, 5)
    assert closing.ended == closing.until
    assert [step for step, count in enumerate(history.paces["A"].used) if count] == [0, 48]  # sent at 0 and 6 s
    assert history.paces["A"].allowed == (2.0,) * len(history.paces["A"].allowed)
    assert history.spread["A"]["parked"]


async def test_a_rate_that_is_tuned_is_drawn_from_then_on(autojump_clock):
    """None: it has no rate any more. Of hosts that are drawn together no rate is drawn, for each has its own."""
    world = World(default=[("request", 1, 200)])
    engine = world.engine([world.platform("A", limit=1, rate=se.Rate(2))], default=world.platform("*", rate=se.Rate(1)))
    events = [se.Event(url="http://h.test/"), *(se.Event(n, platforms=["A"]) for n in range(8))]
    async with engine.stream(events, instruments=[se.observe.Recording()]) as run:
        await trio.sleep(3)
        engine.tune("A", rate=se.Rate(10))
        engine.tune("*", rate=se.Rate(10))
        await trio.sleep(2)
        engine.tune("A", rate=None)
        await run.wait()
    paces = run.report.figures.history.paces
    said = list(dict.fromkeys(paces["A"].allowed))
    assert said == [2.0, 10.0, None]
    assert set(paces["*"].allowed) == {None}


async def test_memory_is_bounded_whatever_happens(autojump_clock):
    """Long ids, many kinds of errors, many hosts, many closings: so many are kept, and the others counted."""

    async def scrape(task):
        if task.event.data == "fails":
            raise type(f"E{task.event.id[:20]}", (Exception,), {})("x" * 10_000)
        await task.http.get(task.event.url)

    def answer(request):
        return httpx.Response(429, headers={"retry-after": "1"})

    hosts = se.Platform("*", scrape, retry=se.Retry(attempts=1))
    engine = se.Engine([], default=hosts, connector=httpx.MockTransport(answer), event_limit=50)
    events = [se.Event(f"{n:06d}" + "i" * 3000, url=f"http://h{n}.test/", data="fails") for n in range(150)]
    events += [se.Event(n, url=f"http://h{n}.test/") for n in range(450)]
    report = await engine.run(events, instruments=[se.observe.Recording(timeline=250)])
    history = report.figures.history
    assert len(history.bars) <= 250
    assert len(history.bars) + sum(history.left_out.values()) == 600
    assert all(len(bar.id) <= 2000 for bar in history.bars)
    assert len(history.examples) == 100
    assert all(len(each.text) <= 500 and len(each.id) <= 200 for each in history.examples.values())
    assert len(history.closings) == 400
    assert history.closings_left_out == 50
    assert set(history.paces) == {"*"}


async def test_connecting_is_drawn_where_it_was():
    """Each of three tasks at once has a connection of its own, and the next three have none."""

    async def answer(request):
        await trio.sleep(0.02)
        return Answer(body=b"x")

    async def scrape(task):
        await task.http.get("/")

    async with Site.open(answer) as site:
        platform = se.Platform("A", scrape, base_url=site.url, limit=3)
        report = await se.Engine([platform]).run(map(se.Event, range(6)), instruments=[se.observe.Recording()])
    bars = report.figures.history.bars
    connecting = [bar.connecting for bar in bars if bar.connecting]
    assert len(connecting) == report.figures.platforms["A"].opened == 3
    for bar in bars:
        for since, until in [bar.connecting] if bar.connecting else []:
            assert bar.ended - bar.ran <= since < until < bar.ended


async def test_a_recording_without_a_timeline_keeps_none(autojump_clock):
    """And says what it is made of."""
    world = World(default=[("request", 1, 200)])
    recording = se.observe.Recording(timeline=0)
    report = await world.engine([world.platform("A")]).run([se.Event(1)], instruments=[recording])
    assert report.figures.history is None
    assert "Timeline" not in repr(recording)
    assert "Timeline, <BarChoice of 0 tasks>" in repr(se.observe.Recording())

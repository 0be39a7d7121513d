"""Law 1: every task that a run accepted ends in exactly one outcome, whatever it raises, and when it is stopped."""

from collections import Counter

import trio
from hypothesis import given
from hypothesis import strategies as st

import scrapeengine as se
from support.serving import serve_all
from support.strategies import abandonments, cases, quarters, requests, scripts, sleeps, troubles
from support.world import Trouble, outcomes_of, virtually

STEPS = scripts(sleeps, requests, troubles, abandonments)


def expected(script):
    """Say how a task with this script ends; None where that depends on more than the script."""
    for step in script:
        match step:
            case ("raise", _):
                return se.Failure
            case ("skip",):
                return se.Skipped
    return se.Success


@given(cases(steps=STEPS))
def test_each_task_ends_once_and_as_its_scraper_did(case):
    """Run to its end, a run gives one outcome for each task, and it is the one that its scraper made."""
    world, engine = case.build()
    outcomes, report = virtually(outcomes_of, engine, case.events)
    assert Counter((outcome.event.id, outcome.platform) for outcome in outcomes) == Counter(case.tasks())
    for outcome in outcomes:
        assert type(outcome) is expected(world.scripts[outcome.event.id, outcome.platform])
        if isinstance(outcome, se.Success):
            assert outcome.value == outcome.event.id
    assert report.tasks == report.outcomes.total == len(outcomes)
    assert sum(counts.total for counts in report.platforms.values()) == len(outcomes)
    assert not world.ledger.broken


@given(cases(steps=STEPS), quarters, quarters)
def test_a_stopped_run_still_accounts_for_each_task(case, when, grace):
    """Stopped at any moment, a run gives one outcome for each task that it has accepted: cancelled at the least."""
    _, engine = case.build()

    async def main():
        outcomes = []
        async with engine.stream(case.events) as run, trio.open_nursery() as nursery:

            @nursery.start_soon
            async def _():
                await trio.sleep(when)
                await run.stop(grace)

            async for outcome in run:
                outcomes.append(outcome)
            nursery.cancel_scope.cancel()
        return outcomes, run.report

    outcomes, report = virtually(main)
    seen = Counter((outcome.event.id, outcome.platform) for outcome in outcomes)
    assert set(seen) <= set(case.tasks())
    assert not seen or max(seen.values()) == 1
    assert report.tasks == report.outcomes.total == len(outcomes)


@given(cases(steps=STEPS), st.integers(0, 8))
def test_a_consumer_that_leaves_is_counted(case, reads):
    """Left early, a run counts one outcome for each task that it has accepted, and those that no one read."""
    _, engine = case.build()

    async def main():
        read = 0
        async with engine.stream(case.events) as run:
            while read < reads:
                try:
                    await anext(run)
                except StopAsyncIteration:
                    break
                read += 1
        return read, run.report

    read, report = virtually(main)
    assert report.tasks == report.outcomes.total == read + report.unread


def test_failures_carry_the_exception_itself():
    """A failure's error is the very exception that the scraper raised, with its frames cleared."""
    error = Trouble("mine")

    async def scrape(task):
        page = "x" * 1000  # noqa: F841 - what must not be kept
        raise error

    [outcome] = se.collect([se.Platform("A", scrape)], [se.Event("e")])
    assert isinstance(outcome, se.Failure)
    assert outcome.error is error
    frame = outcome.error.__traceback__.tb_frame
    assert frame.f_code is scrape.__code__
    assert "page" not in frame.f_locals


follows = st.lists(st.tuples(st.integers(0, 2), st.lists(st.sampled_from("ABC"), min_size=1, unique=True)), max_size=8)


@given(follows)
def test_what_one_task_follows_is_told_apart_in_the_same_way_by_a_plain_run_and_a_served_one(found):
    """By platform and id: each has its outcome with the data that it came with first, and its platform's duplicates."""

    async def scrape(task):
        if task.event.id != "root":
            return task.event.data
        events = enumerate(found)
        return [task.follow(se.Event(id, platforms=platforms, data=number)) for number, (id, platforms) in events]

    engine = se.Engine([se.Platform(name, scrape) for name in "ABC"], dedupe=True)
    root = [se.Event("root", platforms=["A"])]

    async def served():
        async with se.open_store("memory:") as store:
            await engine.enqueue(store, root)
            return await serve_all(engine, store, until="empty")

    (plain, its), (stored, other) = virtually(outcomes_of, engine, root), virtually(served)
    assert sorted(kept(plain), key=str) == sorted(kept(stored), key=str)
    tasks = {(str(id), name) for id, platforms in found for name in platforms}
    assert {(id, name) for id, name, _ in kept(plain)} == tasks | {("root", "A")}
    assert its.duplicates == other.duplicates == sum(len(platforms) for _, platforms in found) - len(tasks)
    assert {name: counts.duplicates for name, counts in its.platforms.items()} == {
        name: counts.duplicates for name, counts in other.platforms.items()
    }


def kept(outcomes):
    """Say what each outcome is of."""
    return [(outcome.event.id, outcome.platform, outcome.value) for outcome in outcomes]


comings = st.lists(
    st.tuples(
        st.sampled_from([0, 0, 0.25, 1]), st.integers(0, 2), st.lists(st.sampled_from("ABC"), min_size=1, unique=True)
    ),
    max_size=12,
)


@given(comings, st.sampled_from([0.25, 0.5, 2]), st.booleans())
def test_a_task_is_a_platform_and_an_id(comings, seconds, dedupe):
    """An id that is live, or remembered, on one platform is new on the others; each that came is accounted for."""
    live, expected, asked, remembered = set(), Counter(), Counter(), set()

    async def scrape(task):
        await trio.sleep(seconds)
        live.discard((task.platform, task.event.id))
        return task.event.id

    async def source():
        for wait, id, platforms in comings:
            await trio.sleep(wait)
            for name in platforms:
                task = name, str(id)
                asked[task] += 1
                if task not in live and not (dedupe and task in remembered):
                    expected[task] += 1
                    live.add(task)
                    remembered.add(task)
            yield se.Event(id, platforms=platforms)

    engine = se.Engine([se.Platform(name, scrape, limit=100) for name in "ABC"], event_limit=100, dedupe=dedupe)
    outcomes, report = virtually(outcomes_of, engine, source())
    assert Counter((outcome.platform, outcome.event.id) for outcome in outcomes) == expected
    assert report.tasks == report.outcomes.total == expected.total()
    assert report.duplicates == asked.total() - expected.total()
    for name in "ABC":
        counts = report.platforms.get(name, se.Counts())
        assert counts.total + counts.duplicates == sum(asked[task] for task in asked if task[0] == name)


async def test_two_platforms_follow_a_page_of_one_id_each(autojump_clock, caplog):
    """Each gets its own; what is no new task is said at debug, without secrets."""
    caplog.set_level("DEBUG", logger="scrapeengine")
    followed = []

    async def scrape(task):
        await trio.sleep(1)
        if task.event.id == "start":
            followed.append(task.follow(se.Event("https://a.test/?page=2&key=s3cr3t", platforms=[task.platform])))
            followed.append(task.follow(se.Event("https://a.test/?page=2&key=s3cr3t", platforms=[task.platform])))

    engine = se.Engine([se.Platform(name, scrape) for name in "AB"])
    outcomes, report = await outcomes_of(engine, [se.Event("start")])
    assert followed == [True, False] * 2
    assert sorted(outcome.platform for outcome in outcomes) == ["A", "A", "B", "B"]
    assert (report.events, report.tasks, report.duplicates) == (3, 4, 2)
    assert {name: counts.duplicates for name, counts in report.platforms.items()} == {"A": 1, "B": 1}
    assert caplog.text.count("a duplicate was not accepted") == 2
    assert "s3cr3t" not in caplog.text

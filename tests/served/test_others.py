"""What a run waits for that others have: one line in the log says so, and no more."""

import pytest
import trio

import scrapeengine as se
from scrapeengine.model.job import NewJob, ShareRequest

JOBS = "others that live have jobs in hand"
SLOTS = "others that live have all of them"


@pytest.fixture
def url(tmp_path):
    """Return the URL of a file that does not exist yet."""
    return f"sqlite:{tmp_path}/jobs.db"


def engine():
    """Make an engine with one slot."""

    async def scrape(task):
        await trio.sleep(1)

    return se.Engine([se.Platform("A", scrape, limit=1)])


def lines(caplog, text):
    """List the lines that say so."""
    return [record for record in caplog.records if text in record.getMessage()]


async def test_jobs_that_others_have_in_hand_are_said_once(autojump_clock, url, caplog):
    """Whoever serves beside a process that hangs, or just works, learns why nothing runs."""
    caplog.set_level("INFO", logger="scrapeengine")
    async with se.open_store(url) as store, se.open_store(url) as other:
        await engine().enqueue(store, [se.Event("x")])
        [claimed] = await other.claim("A", 1, "another", 500)
        async with engine().serve(store) as run:
            await trio.sleep(100)
            [line] = lines(caplog, JOBS)
            assert (line.levelname, "leased=1" in line.getMessage()) == ("INFO", True)
            await other.release([claimed.ticket])
            await trio.sleep(300)
        assert run.report.outcomes.succeeded == 1
    assert len(lines(caplog, JOBS)) == 1


async def test_nothing_is_said_where_nobody_has_anything(autojump_clock, url, caplog):
    """Nor of what this run itself has in hand, or of platforms that it does not have."""
    caplog.set_level("INFO", logger="scrapeengine")
    async with se.open_store(url) as store, se.open_store(url) as other:
        await store.enqueue([NewJob("B", "x", "{}")])
        await other.claim("B", 1, "another", 5000)
        async with engine().serve(store):
            await trio.sleep(100)
            await engine().enqueue(store, [se.Event(number) for number in range(9)])
            await trio.sleep(100)
        assert (await store.stats())["A"].done == 9
    assert not lines(caplog, "others")


async def test_slots_that_others_have_are_said_once(autojump_clock, url, caplog):
    """Not at once: as a rule they give some back within the second."""
    caplog.set_level("INFO", logger="scrapeengine")
    everything = {"A": ShareRequest(limit=1, wanted=1, held=1, rates=(), requests=0)}
    async with se.open_store(url) as store, se.open_store(url) as other:
        await engine().enqueue(store, [se.Event("x")])
        await other.share("another", everything, 20)
        async with engine().serve(store) as run:
            await trio.sleep(0.9)
            assert not lines(caplog, SLOTS)
            await trio.sleep(15)
            [line] = lines(caplog, SLOTS)
            assert "platform='A'" in line.getMessage()
            await trio.sleep(30)
        assert run.report.outcomes.succeeded == 1
    assert len(lines(caplog, SLOTS)) == 1

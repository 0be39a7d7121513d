"""Whatever a scraper raises is its task's outcome, and what it tells a test reaches the test."""

import asyncio
import concurrent.futures
import pickle
import subprocess
import sys
import threading
import traceback

import httpx
import pytest
import trio

import scrapeengine as se
from scrapeengine.tasks.signals import verdict
from support.serving import serve_all
from support.world import Panic, Trouble, outcomes_of, virtually


class Mute(BaseException):
    """What cannot even say what it is."""

    def __str__(self):
        """Fail."""
        raise Panic("in the text")


class OddGroup(BaseExceptionGroup):
    """A group that stays of its class, whatever it holds."""

    def derive(self, excs):
        """Make another one."""
        return OddGroup(self.message, excs)


RAISED = [
    Panic("index out of bounds"),
    Panic(),
    Mute(),
    asyncio.CancelledError(),
    asyncio.CancelledError("by the thread's loop"),
    pytest.fail.Exception("no such page"),
    pytest.skip.Exception("not today"),
    BaseException("itself"),
    BaseExceptionGroup("mixed", [Trouble("a"), Panic("b")]),
    BaseExceptionGroup("deep", [BaseExceptionGroup("deeper", [Panic("c"), ValueError("d")]), KeyError("e")]),
    OddGroup("odd", [ValueError("of an odd group")]),
    OddGroup("odd", [ValueError("f"), Panic("g")]),
]
NAMES = [f"{number}-{type(error).__name__}" for number, error in enumerate(RAISED)]


async def siblings(scrape, count=6, **options):
    """Run a scraper as the third of some siblings; return its failure, once the others have succeeded."""

    async def one(task):
        if task.event.data == 2:
            return await scrape(task)
        await trio.sleep(3)
        return task.event.data

    engine = se.Engine([se.Platform("A", one, limit=2, **options)])
    outcomes, report = await outcomes_of(engine, [se.Event(number, data=number) for number in range(count)])
    ended = {outcome.event.data: outcome for outcome in outcomes}
    failure = ended.pop(2)
    assert [ended[number].value for number in sorted(ended)] == [number for number in range(count) if number != 2]
    assert report.outcomes == se.Counts(succeeded=count - 1, failed=1)
    assert isinstance(failure, se.Failure)
    assert isinstance(failure.error, Exception)
    return failure.error


@pytest.mark.parametrize("raised", RAISED, ids=NAMES)
async def test_what_is_no_exception_is_the_failure_of_its_task(autojump_clock, raised):
    """It is the cause of an error of ours, which names it; siblings go on; both can be raised again and shown."""

    async def scrape(task):
        page = "x" * 1000  # noqa: F841 - what must not be kept
        await trio.sleep(1)
        raise raised

    error = await siblings(scrape)
    assert type(error) is se.ScraperCrashed
    assert error.__cause__ is raised
    assert error.__suppress_context__
    frames = [frame for frame, _ in traceback.walk_tb(raised.__traceback__)]
    assert frames[1].f_code is scrape.__code__
    assert "page" not in frames[1].f_locals
    with pytest.raises(se.ScrapeError) as caught:
        raise error
    assert caught.value.__cause__ is raised
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


@pytest.mark.parametrize(
    ("raised", "text"),
    [
        (Panic("index 7"), "the scraper raised Panic, which is no Exception: index 7"),
        (asyncio.CancelledError(), "the scraper raised CancelledError, which is no Exception"),
        (Mute(), "the scraper raised Mute, which is no Exception: (its text could not be made)"),
        (Panic("half \ud800"), "the scraper raised Panic, which is no Exception: half \\ud800"),
        (BaseExceptionGroup("two", [Trouble(), Panic("b")]), "the scraper raised Panic, which is no Exception: b"),
    ],
)
async def test_its_text_names_what_was_raised(autojump_clock, raised, text):
    """Of a group it names what is no `Exception` there; a text that cannot be made is no second accident."""

    async def scrape(task):
        raise raised

    assert str(await siblings(scrape)) == text


def test_an_error_of_another_framework_comes_out_of_a_thread():
    """`asyncio.CancelledError` of a loop in a thread, and a panic there; an `Exception` is as it was raised."""

    async def cancelled():
        asyncio.current_task().cancel()
        await asyncio.sleep(1)

    def broken():
        raise Panic("in a thread")

    def future():
        concurrent.futures.Future().result(timeout=0)

    kinds = []
    for function in (lambda: asyncio.run(cancelled()), broken, future):

        async def scrape(task, function=function):
            if task.event.data == 1:
                return await task.in_thread(function)
            return threading.get_ident()

        outcomes = se.collect([se.Platform("A", scrape)], [se.Event(n, data=n) for n in range(3)])
        [failure] = [outcome for outcome in outcomes if not isinstance(outcome, se.Success)]
        kinds.append((type(failure.error), type(failure.error.__cause__)))
    assert kinds[:2] == [(se.ScraperCrashed, asyncio.CancelledError), (se.ScraperCrashed, Panic)]
    assert kinds[2] == (TimeoutError, type(None))


async def test_it_leaves_the_scraper_s_own_nursery(autojump_clock):
    """A child of the scraper's raises it while another sleeps: one failure, whose cause is the nursery's group."""

    async def child():
        raise Panic("in a child")

    async def scrape(task):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            nursery.start_soon(child)

    error = await siblings(scrape)
    assert str(error).endswith("Panic, which is no Exception: in a child")
    assert isinstance(error.__cause__, BaseExceptionGroup)


async def test_a_signal_beside_it_is_dropped_and_it_counts(autojump_clock):
    """As beside an `Exception`: what failed counts more than `task.skip`."""

    async def scrape(task):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(skip, task)
            raise Panic("beside")

    async def skip(task):
        task.skip("nothing there")

    error = await siblings(scrape)
    assert error.__cause__.exceptions[0].args == ("beside",)
    assert len(error.__cause__.exceptions) == 1


async def test_raised_on_the_way_out_of_a_deadline_it_is_the_failure(autojump_clock):
    """As an `Exception` is that a scraper raises while its deadline ends it."""

    async def scrape(task):
        try:
            await trio.sleep_forever()
        finally:
            raise Panic("on the way out")

    assert isinstance((await siblings(scrape, timeout=se.Timeout(task=10))).__cause__, Panic)


async def test_raised_on_the_way_out_of_a_cancellation_it_goes_nowhere(autojump_clock):
    """A cancellation from outside goes on, in no group, with nothing of the scraper's."""

    async def scrape(task):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            try:
                await trio.sleep_forever()
            finally:
                raise Panic("on the way out")

    with trio.move_on_after(5) as scope:
        await se.Engine([se.Platform("A", scrape)]).run([se.Event(1), se.Event(2)])
    assert scope.cancelled_caught


async def test_it_is_a_failure_in_a_store_too(autojump_clock):
    """Stored, delivered to the sinks, read by the consumer; its siblings are done."""

    async def scrape(task):
        if task.event.data == 1:
            raise Panic("index 7")
        if task.event.data == 2:
            raise MuteError
        return task.event.data

    class MuteError(Exception):
        def __str__(self):
            raise Panic("in the text")

    got = []

    async def sink(batch):
        got.extend(batch)

    engine = se.Engine([se.Platform("A", scrape)])
    async with se.open_store("memory:") as store:
        await engine.enqueue(store, [se.Event(n, data=n) for n in range(4)])
        outcomes, _ = await serve_all(engine, store, sinks=[sink])
        kept = [await store.get("A", str(n)) for n in range(4)]
    assert len(got) == len(outcomes) == 4
    assert [each.status.value for each in kept] == ["done", "failed", "failed", "done"]
    assert kept[1].error == "ScraperCrashed: the scraper raised Panic, which is no Exception: index 7"
    assert kept[2].error == "MuteError: (its text could not be made)"


def test_a_source_that_panics_takes_nothing_with_it():
    """As with an `Exception`: what it gave before ends, then it is raised as it is, in no group."""
    panic = Panic("in the source")

    def source():
        yield se.Event(1)
        yield se.Event(2)
        raise panic

    async def scrape(task):
        await trio.sleep(1)

    async def main():
        seen = []
        with pytest.raises(Panic) as caught:
            async with se.Engine([se.Platform("A", scrape)]).stream(source()) as run:
                async for outcome in run:
                    seen.append(type(outcome))
        return seen, caught.value

    assert virtually(main) == ([se.Success] * 2, panic)
    with pytest.raises(Panic) as caught:
        se.collect([se.Platform("A", scrape)], source())
    assert caught.value is panic


@pytest.mark.parametrize("where", ["source", "sink"])
async def test_a_cancellation_of_long_ago_that_is_raised_again_leaves_a_report(autojump_clock, where):
    """A source or sink that kept one and raises it ends the run, and the report says how far it came."""
    kept = []

    async def stale():
        with trio.CancelScope() as scope:
            scope.cancel()
            try:
                await trio.sleep(1)
            except trio.Cancelled as error:
                kept.append(error)
                raise
        raise kept[0]

    async def source():
        yield se.Event(1)
        await stale()

    async def sink(batch):
        await stale()

    async def scrape(task):
        await trio.sleep(1)

    async def main():
        engine = se.Engine([se.Platform("A", scrape)])
        if where == "source":
            return await engine.run(source())
        return await engine.run([se.Event(1)], sinks=[sink])

    assert (await main()).outcomes.total == 1


def test_validators_that_panic_cost_no_success():
    """What goes wrong when they are kept is no business of the outcome; it is in the log."""

    class Broken:
        async def recall(self, *_):
            return None

        async def remember(self, *_):
            raise Panic("in the validators")

    def answer(request):
        return httpx.Response(200, headers={"etag": '"a"'})

    async def scrape(task):
        return (await task.http.get("/x", conditional=True)).status_code

    platform = se.Platform("A", scrape, base_url="http://a.test", transport=httpx.MockTransport(answer))
    [outcome] = se.collect([platform], [se.Event(1)], validators=Broken())
    assert isinstance(outcome, se.Success)


# -- what is meant for a test


@pytest.mark.parametrize(
    "raised", [pytest.fail.Exception("seen"), pytest.skip.Exception("seen"), pytest.xfail.Exception()]
)
@pytest.mark.parametrize("grouped", [False, True])
def test_a_run_that_hands_outcomes_to_nobody_raises_it_in_the_end(raised, grouped):
    """`Engine.run`, `run` and `poll` without sinks raise it as the same object, once all siblings have ended."""
    ended = []

    async def scrape(task):
        if task.event.data == 0:
            raise BaseExceptionGroup("two", [ValueError(), raised]) if grouped else raised
        await trio.sleep(1)
        ended.append(task.event.data)

    platforms = [se.Platform("A", scrape)]
    events = [se.Event(n, data=n) for n in range(4)]

    async def polled():
        async with se.open_store("memory:") as store:
            await se.Engine(platforms).enqueue(store, events)
            await se.Engine(platforms).poll(store)

    for run in (
        lambda: virtually(se.Engine(platforms).run, events),
        lambda: virtually(polled),
        lambda: se.run(platforms, events[:2]),
    ):
        ended.clear()
        with pytest.raises(type(raised)) as caught:
            run()
        assert caught.value is raised
        assert sorted(ended) in ([1, 2, 3], [1])


def test_who_takes_outcomes_finds_it_there():
    """Sinks, the consumer and `collect` have it as a failure; the run raises nothing."""
    got = []

    async def sink(batch):
        got.extend(batch)

    async def scrape(task):
        pytest.fail("seen")

    platforms = [se.Platform("A", scrape)]
    report = se.run(platforms, [se.Event(1)], sinks=[sink])
    got += se.collect(platforms, [se.Event(1)])
    got += virtually(outcomes_of, se.Engine(platforms), [se.Event(1)])[0]
    assert report.outcomes == se.Counts(failed=1)
    assert len(got) == 3
    for failure in got:
        assert isinstance(failure.error.__cause__, pytest.fail.Exception)
        assert verdict(failure.error) is failure.error.__cause__


def test_a_panic_is_no_word_to_a_test():
    """A run raises nothing for it: its report says so, and that is all."""

    async def scrape(task):
        raise Panic(task.event.id)

    report = se.run([se.Platform("A", scrape)], [se.Event(1), se.Event(2)])
    assert report.errors == {"ScraperCrashed": 2}
    assert verdict(se.ScraperCrashed("delivered from elsewhere")) is None


TESTS = """
import pytest
import scrapeengine as se

def platforms(scrape):
    return [se.Platform("A", scrape)], [se.Event(1), se.Event(2)]

async def failing(task):
    if task.event.id == "1":
        pytest.fail("as it should")

async def expecting(task):
    with pytest.raises(LookupError):
        pass

async def skipping(task):
    pytest.skip("not here")

def test_nobody_looks():
    se.run(*platforms(failing))

def test_nobody_looks_and_a_context_manager_fails():
    se.run(*platforms(expecting))

def test_all_succeed():
    assert all(isinstance(outcome, se.Success) for outcome in se.collect(*platforms(failing)))

def test_raised_again():
    for outcome in se.collect(*platforms(expecting)):
        if isinstance(outcome, se.Failure):
            raise outcome.error

def test_skipped():
    se.run(*platforms(skipping))
"""


def test_it_fails_the_test_of_whoever_wrote_the_scraper(tmp_path):
    """A test file of a user's own, run by pytest: four fail, one is skipped, and none passes."""
    (tmp_path / "test_mine.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert "4 failed, 1 skipped" in done.stdout, done.stdout + done.stderr
    assert "as it should" in done.stdout

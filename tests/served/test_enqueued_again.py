"""Events that are enqueued once more: what fell short runs again, what waits is replaced, cadences change at once."""

import trio

import scrapeengine as se
from support.serving import serve_all


async def test_what_has_failed_runs_again_when_it_is_enqueued(autojump_clock, store):
    """The same program, started again an hour later, tries again what had failed, and nothing else."""
    ran = []

    async def scrape(task):
        ran.append((task.event.id, task.event.data))
        if task.event.data == "bad":
            raise ValueError("not today")

    engine = se.Engine([se.Platform("p", scrape)])
    await engine.enqueue(store, [se.Event(1, data="bad"), se.Event(2, data="good")])
    await serve_all(engine, store, count=2)
    await trio.sleep(3600)
    replies = await engine.enqueue(store, [se.Event(1, data="better"), se.Event(2, data="better")])
    assert [each.new for each in replies] == [True, False]
    await serve_all(engine, store, count=1)
    assert sorted(ran[:2]) == [("1", "bad"), ("2", "good")]
    assert ran[2:] == [("1", "better")]
    assert (await store.get("p", "1")).status is se.JobStatus.DONE


async def test_what_is_followed_and_has_failed_is_left(autojump_clock, store):
    """Many pages link to one that is not there, which is asked for once."""
    ran = []

    async def scrape(task):
        ran.append(task.event.id)
        if task.event.id == "gone":
            raise ValueError("404")
        task.follow(se.Event("gone"))

    engine = se.Engine([se.Platform("p", scrape, limit=1)])
    await engine.enqueue(store, [se.Event(number) for number in range(20)])
    await serve_all(engine, store)
    assert ran.count("gone") == 1


async def test_what_waits_is_replaced_and_what_runs_goes_on(autojump_clock, store):
    """With `replace=True` the data of what is pending is the new one; the reply says where it is not."""
    ran = []

    async def scrape(task):
        ran.append((task.event.id, task.event.data))
        if task.event.id == "0":
            replies.extend(
                await engine.enqueue(store, [se.Event(n, data="new", priority=n) for n in range(4)], replace=True)
            )

    replies = []
    engine = se.Engine([se.Platform("p", scrape, limit=1)])
    await engine.enqueue(store, [se.Event(n, data="old") for n in range(4)])
    await serve_all(engine, store, count=4)
    # One more than runs is in hand, and goes on with what it had.
    assert [each.replaced for each in replies] == [False, False, True, True]
    assert ran == [("0", "old"), ("1", "old"), ("3", "new"), ("2", "new")]


async def test_a_shorter_cadence_is_heeded_at_once(autojump_clock, store):
    """What would be looked at in an hour is looked at when the new minimum has passed, also what runs just now."""
    looks = []

    async def scrape(task):
        looks.append(trio.current_time() - begun)
        if len(looks) == 3:
            await engine.enqueue(store, [se.Event(1)], cadence=se.Cadence(min_interval=10, jitter=0, growth=1))

    engine = se.Engine([se.Platform("p", scrape)])
    begun = trio.current_time()
    await engine.enqueue(store, [se.Event(1)], cadence=se.Cadence(min_interval=3600, jitter=0, growth=1))
    await serve_all(engine, store, count=1)
    await trio.sleep(40)
    await engine.enqueue(store, [se.Event(1)], cadence=se.Cadence(min_interval=100, jitter=0, growth=1))
    await serve_all(engine, store, count=4)
    assert looks == [0, 100, 200, 210, 220]


async def test_what_is_done_recurs_once_it_has_a_cadence(autojump_clock, store):
    """As the docs say of events that are known: the cadence replaces what they had, also if that was none."""
    looks = []

    async def scrape(task):
        looks.append(trio.current_time() - begun)

    engine = se.Engine([se.Platform("p", scrape)])
    begun = trio.current_time()
    await engine.enqueue(store, [se.Event(1)])
    await serve_all(engine, store, count=1)
    (known,) = await engine.enqueue(store, [se.Event(1)], cadence=se.Cadence(min_interval=60, jitter=0, growth=1))
    assert (known.new, known.job.recurs) == (False, True)
    await serve_all(engine, store, count=2)
    assert looks == [0, 60, 120]

"""What went wrong once: odd data, a store that is down at the wrong moment, slow sinks, and much of everything."""

import apsw
import httpx
import pytest
import trio

import scrapeengine as se
from scrapeengine.model.job import Completion, JobStatus, NewJob
from scrapeengine.stores import open_store
from support.serving import Flaky, pending, serve_all

DAILY = se.Cadence(min_interval=100, max_interval=100, jitter=0)


class Unspeakable(Exception):
    """An error whose text cannot be made."""

    def __str__(self):
        """Fail."""
        raise RuntimeError("no text")


def odd(task):
    """Do what the event says, which cannot be stored as it is."""
    match task.event.id:
        case "error":
            raise ValueError("half a pair: \udc80")
        case "text":
            raise Unspeakable
        case "skip":
            task.skip("half a pair: \udc80")
        case "no reason":
            task.skip(None)
        case "data":
            task.follow(se.Event("x", data={1, 2}))
        case "id":
            task.follow(se.Event("\udc80"))
        case "priority":
            task.follow(se.Event("x", priority=2**63))
        case "mutated":
            task.event.data.append({1, 2})


ODD = {
    "error": "failed",
    "text": "failed",
    "skip": "skipped",
    "no reason": "failed",
    "data": "failed",
    "id": "failed",
    "priority": "failed",
    "mutated": "done",
}


@pytest.mark.parametrize("with_sinks", [True, False])
async def test_whatever_a_task_leaves_is_stored_somehow(autojump_clock, store, with_sinks):
    """No data of one task ends the run, or comes back for ever; its siblings do not notice."""
    got = []

    async def scrape(task):
        return odd(task)

    async def sink(batch):
        got.extend(batch)

    engine = se.Engine([se.Platform("A", scrape)])
    await engine.enqueue(store, [se.Event(id, data=[]) for id in [*ODD, "plain"]])
    outcomes, report = await serve_all(engine, store, sinks=[sink] * with_sinks)
    statuses = {id: (await store.get("A", id)).status.value for id in ODD}
    assert statuses == ODD
    assert len(outcomes) == report.tasks == len(ODD) + 1
    assert got == (outcomes if with_sinks else [])


@pytest.mark.parametrize(
    ("row", "status", "says"),
    [
        ({"payload": "nonsense"}, JobStatus.FAILED, "cannot be read"),
        ({"payload": "[1]"}, JobStatus.FAILED, "cannot be read"),
        ({"payload": "[" * 5000}, JobStatus.FAILED, "cannot be read"),
        ({"payload": "nonsense", "cadence": "{}"}, JobStatus.DELAYED, "cannot be read"),
        ({"id": ""}, JobStatus.FAILED, "cannot be read"),
        ({"cadence": "nonsense"}, JobStatus.DELAYED, "no cadence"),
    ],
)
async def test_rows_that_nobody_can_read(autojump_clock, store, row, status, says):
    """They end, or wait for a day if they recur; they do not end the run."""

    async def scrape(task):
        return 1

    engine = se.Engine([se.Platform("A", scrape)])
    await store.enqueue([NewJob(**{"platform": "A", "id": "x", "payload": "{}"} | row)])
    await engine.enqueue(store, [se.Event("plain")])
    await serve_all(engine, store, count=2)
    job = await store.get("A", row.get("id", "x"))
    assert job.status is status
    assert says in job.error
    if status is JobStatus.DELAYED:
        assert job.due - job.finished == pytest.approx(86_400)


async def test_an_outcome_that_nobody_can_read_is_dropped(autojump_clock, store, caplog):
    """With a word in the log; it does not come again."""
    got = []

    async def scrape(task):
        pass

    async def sink(batch):
        got.extend(batch)

    engine = se.Engine([se.Platform("A", scrape)])
    await store.enqueue([NewJob("A", "x", "{}")])
    [claimed] = await store.claim("A", 1, "me", 10)
    await store.complete(
        [Completion(ticket=claimed.ticket, status=JobStatus.DONE, outcome='{"status": "x"}', sinks=("sink",))]
    )
    async with engine.serve(store, sinks=[sink]):
        await trio.sleep(100)
    assert (await store.undelivered("sink", 10, 10)) == []
    assert got == []
    assert "cannot be read, and is dropped" in caplog.text


async def test_waits_without_measure(autojump_clock, store):
    """A scraper may ask for a thousand centuries: its event is left alone for long, and nothing else stands still."""

    async def scrape(task):
        task.skip("gone", again_after=1e14)

    engine = se.Engine([se.Platform("A", scrape)])
    await engine.enqueue(store, [se.Event(n) for n in range(5)], cadence=DAILY)
    await engine.enqueue(store, [se.Event("once")])
    outcomes, _ = await serve_all(engine, store, count=6)
    count = len(outcomes)
    waits = [(await store.get("A", str(n))).due - store.now() for n in range(5)]
    assert count == 6
    assert min(waits) > 10 * 365 * 86_400


async def test_stop_gives_back_before_the_run_is_left(autojump_clock, store):
    """What is unfinished is ready again while the `async with` still goes on."""

    async def scrape(task):
        await trio.sleep(100)

    engine = se.Engine([se.Platform("A", scrape, limit=4)])
    await engine.enqueue(store, [se.Event(n) for n in range(10)])
    async with engine.serve(store) as run:
        await trio.sleep(1)
        await run.stop(0)
        await trio.sleep(1)
        stats = (await store.stats())["A"]
    assert (stats.ready, stats.leased) == (10, 0)


async def test_a_scraper_that_fails_while_it_is_cut_off_has_not_failed(autojump_clock, store):
    """Its job is given back: it has not had its chance."""

    async def scrape(task):
        try:
            await trio.sleep(100)
        finally:
            raise OSError("the file is gone")

    engine = se.Engine([se.Platform("A", scrape)])
    await engine.enqueue(store, [se.Event(1)])
    async with engine.serve(store) as run:
        await trio.sleep(1)
        await run.stop(0)
    assert (await store.get("A", "1")).status is JobStatus.READY


async def test_work_that_is_done_outlives_a_store_that_is_down_for_longer_than_a_lease(autojump_clock, store):
    """Leases of ended tasks are renewed too, until the store has taken their results."""
    runs = []

    async def scrape(task):
        runs.append(task.event.id)

    engine = se.Engine([se.Platform("A", scrape)])
    await engine.enqueue(store, [se.Event(n) for n in range(4)])
    store.down.add("complete")
    async with engine.serve(store, lease=30) as run, trio.open_nursery() as nursery:

        @nursery.start_soon
        async def up():
            await trio.sleep(100)
            store.down.clear()

        for _ in range(4):
            await anext(run)
        await run.stop(0)
    report = run.report
    assert sorted(runs) == ["0", "1", "2", "3"]
    assert (report.outcomes.succeeded, report.lost) == (4, 0)


async def test_one_failure_while_leaving_is_not_the_last_word(autojump_clock, store):
    """What could not be given back is tried again, within two seconds."""

    async def scrape(task):
        await trio.sleep(100)

    engine = se.Engine([se.Platform("A", scrape)])
    await engine.enqueue(store, [se.Event(n) for n in range(4)])
    async with trio.open_nursery() as nursery:
        async with engine.serve(store):
            await trio.sleep(1)
            store.down.add("release")

            @nursery.start_soon
            async def up():
                await trio.sleep(1)
                store.down.clear()

    assert (await store.stats())["A"].leased == 0


async def test_the_sums_are_right_when_the_store_is_down_at_the_end(autojump_clock, store):
    """What the store never heard of counts as lost; and whoever reads on after `stop` is not kept for ever."""

    async def scrape(task):
        pass

    engine = se.Engine([se.Platform("A", scrape)])
    await engine.enqueue(store, [se.Event(n) for n in range(4)])
    store.down.add("complete")
    async with engine.serve(store) as run:
        await trio.sleep(1)
        await run.stop(0)
        with trio.fail_after(5):
            assert [outcome async for outcome in run] == []
    report = run.report
    assert (report.tasks, report.outcomes.total, report.returned, report.lost) == (4, 0, 0, 4)


async def test_what_is_in_hand_is_bounded_whatever_the_number_of_hosts(autojump_clock, store):
    """By the lookahead: 300 hosts with ten jobs each do not come all at once, and each has its turn."""

    async def scrape(task):
        await trio.sleep(10)

    engine = se.Engine([], default=se.Platform("*", scrape), lookahead=50, event_limit=10)
    await engine.enqueue(store, [se.Event(url=f"http://h{n % 300}.test/{n}") for n in range(3000)])
    async with engine.serve(store) as run:
        await trio.sleep(1)
        live = run.statistics().live
        leased = sum(each.leased for each in (await store.stats()).values())
    assert live == leased <= 50 + 10


async def test_a_backlog_does_not_starve_another_platform(autojump_clock):
    """Where the lookahead binds, who got nothing is served first the next time."""
    ended = {"A": [], "B": []}

    async def scrape(task):
        await trio.sleep(10)
        ended[task.platform].append(trio.current_time())

    async with se.open_store("memory:", max_pending=1000) as store:
        engine = se.Engine([se.Platform(name, scrape) for name in "AB"], lookahead=4, event_limit=100)
        await engine.enqueue(store, [se.Event(n, platforms=("A",)) for n in range(400)])
        async with engine.serve(store):
            await trio.sleep(5)
            begun = trio.current_time()
            await engine.enqueue(store, [se.Event(f"b{n}", platforms=("B",)) for n in range(8)])
            await trio.sleep(100)
    assert len(ended["B"]) == 8
    assert max(ended["B"]) - begun <= 45


async def test_a_slow_sink_gets_each_outcome_once(autojump_clock, store):
    """Also where a batch takes longer than a lease; what is on its way is not delivered again."""
    got = []

    async def scrape(task):
        return task.event.id

    async def slow(batch):
        await trio.sleep(45)
        got.extend(outcome.event.id for outcome in batch)

    engine = se.Engine([se.Platform("A", scrape, limit=4)])
    await engine.enqueue(store, [se.Event(n) for n in range(250)])
    async with engine.serve(store, sinks=[slow], lease=30) as run:
        for _ in range(250):
            await anext(run)
        await trio.sleep(100)
        await run.stop(0)
    assert run.report.redelivered == 0
    assert sorted(got, key=int) == [str(n) for n in range(250)]


async def test_a_round_delivers_however_much_is_left(autojump_clock, store):
    """More than a batch, and more than the buffer holds."""
    got = []

    async def scrape(task):
        pass

    async def never(batch):
        await trio.sleep_forever()

    async def sink(batch):
        await trio.sleep(1)
        got.extend(batch)

    platform = se.Platform("A", scrape)
    await se.Engine([platform]).enqueue(store, [se.Event(n) for n in range(500)])
    with trio.move_on_after(5):
        await serve_all(se.Engine([platform], buffer=1000), store, sinks=[se.sinks.of(never, name="it")], count=500)
    assert not pending(await store.stats())
    await trio.sleep(100)
    named = se.sinks.of(sink, name="it", size=100, linger=0)
    assert (await se.Engine([platform], buffer=20).poll(store, sinks=[named])).redelivered == 500
    assert len({outcome.event.id for outcome in got}) == 500


async def test_a_cadence_that_is_given_while_the_job_runs(autojump_clock, store):
    """It recurs from then on."""

    async def scrape(task):
        await trio.sleep(10)

    engine = se.Engine([se.Platform("A", scrape)])
    await engine.enqueue(store, [se.Event(1)])
    async with engine.serve(store) as run:
        await trio.sleep(5)
        [known] = await engine.enqueue(store, [se.Event(1)], cadence=DAILY)
        assert not known.new
        for _ in range(3):
            await anext(run)
        await run.stop(0)
    assert (await store.get("A", "1")).recurs


async def test_an_event_is_never_twice_at_once_on_a_platform(autojump_clock):
    """Nor if it was called off, and enqueued again with other data, while its task still shields itself."""
    inside, most = 0, 0

    async def scrape(task):
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        with trio.CancelScope(shield=True):
            await trio.sleep(60)
        inside -= 1

    async with se.open_store("memory:", keep=1.0) as store:
        engine = se.Engine([se.Platform("A", scrape)])
        await engine.enqueue(store, [se.Event(1)])
        async with engine.serve(store) as run:
            await trio.sleep(1)
            await store.cancel("A", "1")
            await trio.sleep(15)
            assert (await engine.enqueue(store, [se.Event(1, data=2)]))[0].new
            outcome = await anext(run)
            await run.stop(0)
    assert outcome.event.data == 2
    assert most == 1


async def test_a_platform_that_closes_gives_back_in_one_call(autojump_clock, store):
    """Not one for each job: they are ready again when it opens."""
    begun = []

    async def answer(request):
        begun.append(trio.current_time())
        return httpx.Response(429, headers={"retry-after": "3600"}) if len(begun) == 1 else httpx.Response(200)

    async def scrape(task):
        await task.http.get("http://a.test/")

    platform = se.Platform("A", scrape, limit=200, rate=se.Rate(1), transport=httpx.MockTransport(answer))
    engine = se.Engine([platform])
    await engine.enqueue(store, [se.Event(n) for n in range(100)])
    async with engine.serve(store):
        await trio.sleep(10)
        calls = store.calls.count("release")
        stats = await store.stats()
    assert calls <= 2
    assert stats["A"].delayed + stats["A"].ready == 99
    assert len(begun) == 1


async def test_pausing_a_platform_ends_a_round_that_waits_for_it(autojump_clock, store):
    """What is left of it is given back, for a later one."""

    async def scrape(task):
        await trio.sleep(1)

    engine = se.Engine([se.Platform("A", scrape, limit=1)])
    await engine.enqueue(store, [se.Event(n) for n in range(10)])
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def pause():
            await trio.sleep(1.5)
            engine.tune("A", limit=0)

        with trio.fail_after(10):
            report = await engine.poll(store)
    assert (report.outcomes.total, (await store.stats())["A"].ready) == (2, 8)


async def test_rounds_outlive_a_store_that_is_down(autojump_clock, store):
    """A round that could not be made is left out, with a word in the log."""

    async def scrape(task):
        pass

    times = []
    engine = se.Engine([se.Platform("A", scrape)])
    begun = trio.current_time()
    store.down.add("lock")
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def up():
            await trio.sleep(25)
            store.down.clear()

        async for report in engine.rounds(store, every=10):
            times.append((trio.current_time() - begun, report.overran))
            await trio.sleep(15)  # nobody asks for the next one meanwhile, and that is not the round's fault
            if len(times) == 3:
                break
    assert times == [(30, 0), (45, 0), (60, 0)]


@pytest.mark.parametrize("ids", ["abc", b"abc"])
async def test_one_id_is_no_list_of_ids(autojump_clock, store, ids):
    """It would be taken for its letters."""

    async def scrape(task):
        pass

    with pytest.raises(TypeError, match=r"write ids=\["):
        await se.Engine([se.Platform("A", scrape)]).poll(store, ids=ids)


async def test_one_task_follows_no_more_than_may_wait(autojump_clock, store):
    """`AgendaFull`, as in any other run."""
    refused = []

    async def scrape(task):
        if task.event.id == "first":
            for n in range(10):
                try:
                    task.follow(se.Event(n))
                except se.AgendaFull as error:
                    refused.append(str(error))

    engine = se.Engine([se.Platform("A", scrape)], max_pending=7)
    await engine.enqueue(store, [se.Event("first")])
    outcomes, _ = await serve_all(engine, store)
    assert len(outcomes) == 8
    assert len(refused) == 3
    assert "max_pending" in refused[0]


async def test_a_penalty_is_everybody_s_and_survives_the_run(tmp_path):
    """A `Retry-After` that the last task of a round was told holds for the next round, of this engine and of others."""
    asked = []

    async def answer(request):
        asked.append(request.url.path)
        return httpx.Response(429, headers={"retry-after": "3600"})

    async def scrape(task):
        await task.http.get(f"http://a.test/{task.event.id}")

    def engine():
        return se.Engine([se.Platform("A", scrape, limit=1, transport=httpx.MockTransport(answer))])

    first, other = engine(), engine()
    async with open_store(f"sqlite:{tmp_path}/jobs.db") as store:
        await first.enqueue(store, [se.Event(1)])
        await first.poll(store)
        await first.enqueue(store, [se.Event(n) for n in range(2, 5)])
        with trio.fail_after(20):
            for each in (first, other, engine()):
                report = await each.poll(store)
                assert report.outcomes.total == 0
    assert asked == ["/1"]


async def test_leaving_does_not_wait_for_a_locked_file(tmp_path):
    """With calls on their way that cannot come through, a run is left within some seconds; nothing is lost."""

    async def scrape(task):
        await trio.sleep(0.05)

    engine = se.Engine([se.Platform("A", scrape)])
    async with open_store(f"sqlite:{tmp_path}/jobs.db", busy_timeout=3.0) as store:
        await engine.enqueue(store, [se.Event(n) for n in range(50)])
        other = apsw.Connection(f"{tmp_path}/jobs.db")
        try:
            async with engine.serve(store) as run:
                await anext(run)
                other.execute("BEGIN IMMEDIATE")
                await trio.sleep(0.2)
                begun = trio.current_time()
            took = trio.current_time() - begun
        finally:
            other.close()
        count = sum(each.ready + each.leased + each.done for each in (await store.stats()).values())
    assert took < 6
    assert count == 50


async def test_a_store_that_refuses_one_ending_takes_the_others(autojump_clock, store, caplog):
    """Whatever it is about that one, the run goes on, and says which one it was."""

    async def scrape(task):
        await trio.sleep(1)

    engine = se.Engine([se.Platform("A", scrape)])
    await engine.enqueue(store, [se.Event(n) for n in range(5)])
    store.refuses = "3"
    async with engine.serve(store) as run:
        outcomes = [await anext(run) for _ in range(4)]
        await run.stop(0)
    ids = [outcome.event.id for outcome in outcomes]
    report = run.report
    assert sorted(ids) == ["0", "1", "2", "4"]
    assert (report.tasks, report.outcomes.total, report.lost) == (5, 4, 1)
    assert "the end of a job cannot be stored" in caplog.text


async def test_what_was_granted_ends_while_the_store_is_down(tmp_path):
    """A run that cannot ask any more starts nothing once its slots are others' to have; then it goes on."""
    started = []

    async def scrape(task):
        started.append(trio.current_time())
        await trio.sleep(0.05)

    engine = se.Engine([se.Platform("A", scrape, limit=1)])
    async with open_store(f"sqlite:{tmp_path}/jobs.db") as real:
        store = Flaky(real)
        await engine.enqueue(store, [se.Event(n) for n in range(200)])
        async with engine.serve(store, lease=1.0) as run:
            for _ in range(5):
                await anext(run)
            store.down.add("share")
            await trio.sleep(1.5)
            before = len(started)
            await trio.sleep(0.5)
            assert len(started) == before
            store.down.clear()
            with trio.fail_after(10):
                while len(started) < before + 5:
                    await trio.sleep(0.01)
            await run.stop(0)

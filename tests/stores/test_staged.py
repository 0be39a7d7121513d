"""Large numbers of jobs come in by short steps, and all of them at once."""

import shutil
import tempfile
import time

import apsw
import pytest
import trio
import trio.lowlevel
from hypothesis import given
from hypothesis import strategies as st

import scrapeengine as se
from scrapeengine.errors import StoreError, StoreFull
from scrapeengine.stores import open_store, staged
from scrapeengine.stores.rules.tables import Batch
from scrapeengine.stores.sqlite.driver import connect
from stores.harness import claimed, done, job, run

MANY = 1300


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch):
    monkeypatch.setattr(staged, "PART", 100)


def many(n=MANY, **values):
    """Make jobs on two platforms."""
    return [job(f"{number:05}", "pq"[number % 2], **values) for number in range(n)]


async def count(store):
    """Count all jobs."""
    return sum(each.ready + each.delayed + each.leased + each.done for each in (await store.stats()).values())


def rows(path, table="staged"):
    """Count the rows of a table."""
    db = apsw.Connection(str(path))
    try:
        return db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
    finally:
        db.close()


def test_all_are_there_and_in_their_order(url):
    """The answers are those of a small batch: in order, one for each, what is known and what is not."""

    async def scenario(store, clock):
        await store.enqueue([job("00000"), job("00002", delay=5)])
        (ticket,) = await claimed(store, ids=["00000"])
        await store.complete([done(ticket)])
        answers = await store.enqueue([*many(priority=1), job("00004", payload="other")])
        assert [each.job.id for each in answers] == [f"{number:05}" for number in range(MANY)] + ["00004"]
        assert [n for n, each in enumerate(answers) if not each.new] == [0, 2, MANY]
        assert answers[5].job == await store.get("q", "00005")
        assert await count(store) == MANY
        assert [await store.position("q", f"{number:05}") for number in (1, 3, 1299)] == [0, 1, 649]
        assert [ticket.id for ticket in await claimed(store, 3)] == ["00004", "00006", "00008"]

    run(url, scenario)


def test_none_is_seen_before_the_last_one_is_there(url):
    """Whoever looks meanwhile sees none, and once some can be claimed, all can."""

    async def scenario(store, clock):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.enqueue, many())
            looks = 0
            while not await store.jobs(limit=1) and not await store.due():
                looks += 1
            batches = await store._store._backend.run(lambda tables: tables.staging.batches())
            assert all(batch.taken is not None for batch in batches), "none is a job before all were there"
            tickets = []
            with trio.fail_after(60):
                while len(tickets) < MANY:
                    await store.due()
                    tickets += await claimed(store, 50) + await claimed(store, 50, "q")
            assert looks > 3
        assert len({*tickets}) == MANY

    run(url, scenario)


@pytest.mark.parametrize("turns", [1, 5, 20, 60])
def test_a_call_that_is_cancelled_has_enqueued_all_or_none(url, turns):
    """Before the last one is there, none is, and nothing is left behind; after that the call returns."""

    async def scenario(store, clock):
        answers = []

        async def enqueue():
            answers.extend(await store.enqueue(many()))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(enqueue)
            for _ in range(turns):
                await store.recall("p", "u")
            nursery.cancel_scope.cancel()
        assert (len(answers), await count(store)) in {(0, 0), (MANY, MANY)}
        if not url.startswith("memory"):
            assert rows(url.removeprefix("sqlite:")) == 0

    run(url, scenario)


def test_where_there_is_no_room_none_is_taken(url):
    """As for a small batch; room that comes while it waits is taken, and what is known needs none."""

    async def scenario(store, clock):
        await store.enqueue(many(100))
        with pytest.raises(StoreFull, match="100 jobs are pending and 1,250 more are too many"):
            await store.enqueue([job(f"x{number}") for number in range(1250)])
        assert await count(store) == 100
        with pytest.raises(StoreFull, match="cut it up"):
            await store.enqueue([job(f"x{number}") for number in range(1401)])
        assert len(await store.enqueue(many(1300))) == 1300

    run(url, scenario, max_pending=1300)


def test_it_is_refused_as_soon_as_there_is_no_room(url, monkeypatch):
    """Not once all of it is staged, where nobody is to wait for room."""
    puts = []

    def put(*args, real=staged.staging.put, **how):
        puts.append(how["first"])
        return real(*args, **how)

    monkeypatch.setattr(staged.staging, "put", put)

    async def scenario(store, clock):
        await store.enqueue(many(1250))
        puts.clear()
        with pytest.raises(StoreFull, match="1,250 jobs are pending and 100 more are too many"):
            await store.enqueue([job(f"x{number}") for number in range(1300)])
        assert puts == [0]

    run(url, scenario, max_pending=1300)


def test_no_step_takes_more_than_a_quarter_of_a_megabyte(url, monkeypatch):
    """Thirty jobs are few, and 3 MB are much."""
    sizes = []

    def put(*args, real=staged.staging.put, **how):
        sizes.append(sum(len(each.payload) for each in how["jobs"]))
        return real(*args, **how)

    monkeypatch.setattr(staged.staging, "put", put)

    async def scenario(store, clock):
        await store.enqueue([job(str(number), payload="x" * 100_000) for number in range(30)])
        assert len(sizes) == 15
        assert max(sizes) == 200_000
        assert await count(store) == 30

    run(url, scenario)


@given(st.lists(st.integers(0, 40), max_size=60))
def test_parts_are_neither_many_nor_large(sizes):
    """All jobs in their order; a part is of one job, or of so many, and so large, at most; and none could be larger."""
    jobs = [job(str(number), payload="x" * size) for number, size in enumerate(sizes)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(staged, "PART", 7)
        patch.setattr(staged.staging, "SIZE", 50)
        parts = list(staged.cut(jobs))
        assert staged.is_large(jobs) == (len(parts) > 1)
    assert [each for _, part in parts for each in part] == jobs
    assert [jobs[first] for first, _ in parts] == [part[0] for _, part in parts]
    weights = [sum(len(each.payload) for each in part) for _, part in parts]
    assert all(
        len(part) == 1 or (len(part) <= 7 and weight <= 50) for (_, part), weight in zip(parts, weights, strict=True)
    )
    for (_, part), weight, (_, following) in zip(parts, weights, parts[1:], strict=False):
        assert len(part) == 7 or weight + len(following[0].payload) > 50


@given(st.lists(st.integers(0, 40), max_size=20), st.integers(1, 9), st.integers(1, 90))
def test_what_others_make_jobs_of_is_cut_in_the_same_way(sizes, n, size):
    """By number and by size, one at least, in memory as in a file."""
    found = []
    jobs = [job(str(number), payload="x" * each) for number, each in enumerate(sizes)]
    for scheme in ("memory:", "sqlite:"):
        taken = []

        def empty(tables, taken=taken):
            number = tables.staging.next_number()
            tables.staging.set_batch(Batch(number, 1e9))
            tables.staging.put(number, 0, jobs)
            while part := tables.staging.take_first(number, n, size):
                taken.append(part)
            tables.staging.drop_batch(number)

        async def main(scheme=scheme, rule=empty):
            with tempfile.TemporaryDirectory() as folder:
                async with open_store(scheme + f"{folder}/jobs.db" * (scheme == "sqlite:")) as store:
                    await store._store._backend.run(rule)

        trio.run(main)
        assert [each for part in taken for each in part.items()] == list(enumerate(jobs))
        found.append([list(part) for part in taken])
    assert found[0] == found[1]
    assert all(len(part) <= n for part in found[0])
    assert all(sum(sizes[place] for place in part[:-1]) < size for part in found[0])


async def test_to_make_large_jobs_leaves_others_their_turn():
    """An engine makes texts of the data of events: not of all of them at once."""
    turns = []

    class Ready:
        claim = complete = print

        async def enqueue(self, jobs, **_):
            return [len(turns) for _ in jobs]

    async def scrape(_):
        pass

    async def tick():
        while True:
            turns.append(None)
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(tick)
        events = [se.Event(number, data="x" * 100_000) for number in range(60)]
        answers = await se.Engine([se.Platform("A", scrape)]).enqueue(Ready(), events)
        nursery.cancel_scope.cancel()
    assert (len(answers), answers[0] >= 15) == (60, True)


def test_it_waits_for_room(url):
    """With full="wait" a large batch comes in once there is room for all of it."""

    async def scenario(store, clock):
        await store.enqueue([job("x")])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.enqueue, many())
            for _ in range(30):
                await store.due()
            assert await count(store) == 1
            await store.cancel("p", "x")
        assert await count(store) == MANY

    run(url, scenario, max_pending=MANY, full="wait")


def test_two_batches_with_the_same_ids(url):
    """Each id is new in one of them, and both are told what they need."""

    async def scenario(store, clock):
        answers = {}

        async def enqueue(name):
            answers[name] = await store.enqueue(many())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(enqueue, "a")
            nursery.start_soon(enqueue, "b")
        assert await count(store) == MANY
        assert all(one.job.id == other.job.id for one, other in zip(answers["a"], answers["b"], strict=True))
        if url.startswith("memory"):  # by a clock that stands still both come at one instant
            return
        assert sum(each.new for each in answers["a"] + answers["b"]) >= MANY

    run(url, scenario)


def test_a_crash_leaves_all_or_none(path, monkeypatch):
    """Whenever the file is dropped: what is opened again has all of a batch, or nothing of it."""
    connections, found = [], []

    async def connecting(path):
        connections.append(await connect(path))
        return connections[-1]

    async def main():
        async with open_store(f"sqlite:{path}") as store:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(store.enqueue, many())
                for number in range(60):
                    copy = path.with_name(f"{number}.db")

                    def dropped(_, copy=copy):
                        for end in ("", "-wal"):
                            shutil.copyfile(f"{path}{end}", f"{copy}{end}")

                    await connections[0].run(dropped)
        for number in range(60):
            async with open_store(f"sqlite:{path.with_name(f'{number}.db')}") as again:
                found.append(await count(again))
                assert (await again.get("p", "01000") is not None) is (found[-1] > 0)

    monkeypatch.setattr("scrapeengine.stores.sqlite.store.connect", connecting)
    trio.run(main)
    assert {*found} == {0, MANY}


@pytest.mark.parametrize("size", [1, 10_000])
def test_what_the_dead_have_staged_is_cleared_away(path, monkeypatch, size):
    """A minute later the next large batches take it away; nobody has ever seen it, nor goes on with a part of it."""
    monkeypatch.setattr("scrapeengine.stores.rules.staging._ALIVE", 0.0)
    monkeypatch.setattr("scrapeengine.stores.rules.staging.SIZE", size)

    async def main():
        async with open_store(f"sqlite:{path}") as store:
            backend = store._store._backend
            number = await backend.run(staged.staging.begin)
            await backend.run(lambda tables: staged.staging.put(tables, number, 0, many(70)))
            assert rows(path) == 70
            await store.enqueue([job(f"x{each}") for each in range(150)])
            with pytest.raises(StoreError, match="too slowly"):
                await backend.run(lambda tables: staged.staging.put(tables, number, 70, many(70)))
            left = 70
            while left:
                await backend.run(staged.staging.begin)
                left, before = rows(path), left
                assert left < before
            assert await count(store) == 150

    trio.run(main)


@pytest.mark.parametrize(("n", "size"), [(10_000, 2), (200, 100_000)])
def test_neither_the_loop_nor_the_file_is_held_for_long(path, monkeypatch, n, size):
    """Ten thousand jobs, or 20 MB: others have their turn all the time, in this process and on the file."""
    monkeypatch.setattr(staged, "PART", 250)
    gaps, turns = [], []

    async def main():
        async with open_store(f"sqlite:{path}", durability="normal") as store:
            async with open_store(f"sqlite:{path}", durability="normal") as other:
                async with trio.open_nursery() as nursery:

                    async def tick():
                        while True:
                            begun = time.thread_time()  # the loop's own: others may use the machine, too
                            await trio.lowlevel.checkpoint()
                            gaps.append(time.thread_time() - begun)

                    async def lock():
                        while True:
                            turns.append(await other.lock("l", "me", 5))

                    nursery.start_soon(tick)
                    nursery.start_soon(lock)
                    await store.enqueue([job(f"{number}", payload="x" * size) for number in range(n)])
                    nursery.cancel_scope.cancel()

    trio.run(main)
    assert sorted(gaps)[-3] < 0.1
    assert len(turns) >= 5  # between two of the forty parts, or of a hundred

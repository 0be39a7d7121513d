"""Files of the first version of the tables, in which all times were Unix times by a clock that nobody looked after."""

import apsw
import pytest
import trio
from trio.testing import MockClock

from scrapeengine.model.job import Delivery, JobStatus, Kept, Reply, ShareRequest, Ticket
from scrapeengine.model.validators import Validator
from scrapeengine.stores.sqlite.schema import APPLICATION_ID, MIGRATIONS
from scrapeengine.stores.sqlite.sums import BUCKET
from scrapeengine.stores.sqlite.sums import path as nodes
from stores.harness import claimed, done, job, order
from stores.machines import Machine

NOW = 1.7e9
JOBS = {
    # id: status, its times from when it was written: enqueued, due, finished, free, expires; cadence, token, accepted
    "ready": (0, -90, None, None, None, None, None, 0, 0),
    "delayed": (1, -80, 50, None, None, None, None, 0, 0),
    "recurs": (1, -70, 40, -20, None, None, "c", 0, 3),
    "leased": (2, -60, 30, None, None, None, None, 7, 0),
    "done": (3, -50, None, -10, -10, 45, None, 0, 5),
}


def of_the_first_version(path, ahead=0.0):
    """Make a file as the first version has written it, by a clock that was ahead, with something in each table."""
    at = NOW + ahead
    db = apsw.Connection(str(path))
    for statement in MIGRATIONS[0]:
        db.execute(statement)
    db.pragma("application_id", APPLICATION_ID)
    db.pragma("user_version", 1)
    for number, (id, (status, *times, cadence, token, accepted)) in enumerate(JOBS.items(), 1):
        enqueued, due, finished, free, expires = (None if each is None else at + each for each in times)
        row = (number, "p", id, status, 0, enqueued, number, due, cadence, 1, token, accepted, None)
        row += (finished, free, expires)
        db.execute(f"INSERT INTO jobs VALUES ({', '.join('?' * 16)})", row)
        db.execute("INSERT INTO texts VALUES (?, ?, ?, NULL, NULL)", (number, f'"{id}"', "1" if finished else None))
    counts = [("p", status, 2 if status == 1 else 1) for status in (0, 1, 2, 3)]
    db.executemany("INSERT INTO counts VALUES (?, ?, ?)", counts)
    ranks = [("p", *node) for node in nodes(0, 1 // BUCKET)]
    db.executemany("INSERT INTO ranks VALUES (?, ?, ?, ?, 1)", ranks)
    numbers = {"seq": 9, "token": 7, "pending": 4, "ended": 1, "pages": 1, "written": 1}
    db.executemany("INSERT INTO numbers VALUES (?, ?)", numbers.items())
    db.execute("INSERT INTO pages VALUES ('p', 'u', '\"1\"', NULL, 1)")
    db.execute("INSERT INTO outbox VALUES ('p', 'done', 5, 'o', ?)", (at + 30,))
    db.execute("INSERT INTO locks VALUES ('round', 'me', ?)", (at + 30,))
    db.execute("INSERT INTO stakes VALUES ('p', 'me', 4, 4, 4, ?, ?)", (at, at + 30))
    db.execute("INSERT INTO gates VALUES ('p', ?, ?)", (at + 20, at + 60))
    db.close()


@pytest.mark.parametrize("slept", [0.0, 1e4])
@pytest.mark.parametrize("ahead", [0.0, 30.0, 3600.0, 2.3e9])
def test_a_file_of_the_first_version_is_taken_over(path, ahead, slept):
    """Nothing is lost, nobody holds anything, and all waits for what was left, also if its clock was ahead."""
    of_the_first_version(path, ahead)
    clock = MockClock()

    async def main():
        machine = Machine(clock, slept=slept)
        clock.jump(5)
        machine.set_clock(-5)
        for _ in range(2):
            async with machine.open(f"sqlite:{path}") as store:
                assert store.now() == pytest.approx(NOW)
                await store.due()
                assert await order(store) == ["ready", "leased"]
                stats = (await store.stats())["p"]
                assert (stats.ready, stats.delayed, stats.leased, stats.done) == (2, 2, 0, 1)
                assert stats.oldest == pytest.approx(90)
                for id, left in {"delayed": 50, "recurs": 40}.items():
                    stored = await store.get("p", id)
                    assert stored.due - store.now() == pytest.approx(left)
                    assert stored.payload == f'"{id}"'
                kept = await store.get("p", "done")
                assert (kept.status, kept.result, kept.finished) == (JobStatus.DONE, "1", pytest.approx(NOW - 10))
                assert await store.recall("p", "u") == Validator('"1"')
        async with machine.open(f"sqlite:{path}") as store:
            assert await store.complete([done(Ticket("p", "leased", 7)), done(Ticket("p", "done", 5))]) == [
                Reply.LOST,
                Reply.ALREADY,
            ]
            assert await store.lock("round", "you", 5)
            assert await store.undelivered("", 9, 5) == [Kept(Delivery("p", "done", 5), "o")]
            asked = ShareRequest(limit=4, wanted=4, held=0, rates=(), requests=0)
            share = (await store.share("you", {"p": asked}, 5))["p"]
            assert (share.slots, share.closed_until - store.now()) == (4, pytest.approx(60))
            assert min(ticket.token for ticket in await claimed(store)) > 7
            clock.jump(45)
            assert (await store.enqueue([job("done")]))[0].new
            clock.jump(5)
            await store.due()
            assert {"delayed", "recurs"} <= {*await order(store)}

    trio.run(main, clock=clock)


@pytest.mark.parametrize("off", [0.0, 1e5])
def test_a_file_of_the_first_version_that_lay_there(path, off):
    """What was due meanwhile is due, what was kept for less is forgotten."""
    of_the_first_version(path)

    async def main():
        machine = Machine(trio.lowlevel.current_clock())
        machine.set_clock(off)
        async with machine.open(f"sqlite:{path}") as store:
            await store.due()
            ready = ["ready", "leased", "recurs", "delayed"] if off else ["ready", "leased"]
            assert sorted(await order(store)) == sorted(ready)
            assert (await store.get("p", "done") is None) is (off > 0)

    trio.run(main, clock=MockClock())

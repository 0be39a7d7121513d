"""Files that are damaged, deleted or moved: one job's trouble, or a `StoreError`, and every call has an answer."""

import random

import apsw
import pytest
import trio

from scrapeengine.errors import StoreError
from scrapeengine.model.job import JobStatus, Reply
from scrapeengine.stores import open_store
from stores.harness import FAILED, claimed, done, job

IDS = [f"job-{number}" for number in range(40)]


def damage(path, statement, *values):
    """Change a file as nobody should."""
    db = apsw.Connection(str(path))
    db.execute(statement, values)
    db.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE texts SET payload = 'other' WHERE number = 2",
        "UPDATE texts SET payload = CAST(x'ff22' AS TEXT) WHERE number = 2",
        "UPDATE texts SET error = 'an error' WHERE number = 2",
        "DELETE FROM texts WHERE number = 2",
        "UPDATE jobs SET id = 'job-x' WHERE number = 2",
        "UPDATE jobs SET id = CAST(x'6aff' AS TEXT) WHERE number = 2",
        "UPDATE jobs SET id = CAST(x'6aff' AS TEXT), cadence = CAST(x'ff' AS TEXT) WHERE number = 2",
    ],
)
def test_a_damaged_row_is_set_aside_and_the_others_run(path, statement):
    """It has failed, with the reason; all others are claimed in the same call, and a new enqueue repairs it."""

    async def main():
        async with open_store(f"sqlite:{path}") as store:
            await store.enqueue([job(each) for each in IDS[:4]])
            damage(path, statement)
            tickets = await claimed(store, 3)
            assert [ticket.id for ticket in tickets] == [IDS[0], IDS[2], IDS[3]]
            assert await store.complete([done(ticket) for ticket in tickets]) == [Reply.OK] * 3
            (aside,) = await store.jobs(status=FAILED)
            assert "damaged" in aside.error
            assert (await store.stats())["p"].failed == 1
            (again,) = await store.enqueue([job(aside.id, payload="1")])
            assert (again.new, again.job.payload) == (True, "1")
            assert [each.payload for each in await store.claim("p", 9, "me", 5)] == ["1"]

    trio.run(main)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE jobs SET due = 'soon' WHERE status = 1",
        "UPDATE jobs SET platform = CAST(x'ff' AS TEXT) WHERE number = 2",
        "UPDATE jobs SET status = 99 WHERE number = 2",
        "UPDATE numbers SET value = 'many' WHERE name = 'pending'",
        "UPDATE numbers SET value = 'never' WHERE name = 'awake'",
        "DROP TABLE counts",
    ],
)
def test_every_call_has_an_answer_whatever_the_file_holds(path, statement):
    """What they raise is a `StoreError`, nobody waits for ever, and the store can be left."""
    raised = []

    async def main():
        async with open_store(f"sqlite:{path}") as store:
            await store.enqueue([job(each, delay=5 * (n % 2)) for n, each in enumerate(IDS)])
            damage(path, statement)

            async def call(function, *args):
                try:
                    await function(*args)
                except StoreError as error:
                    raised.append(str(error))

            with trio.fail_after(5):
                for _ in range(3):
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(call, store.get, "p", IDS[1])
                        nursery.start_soon(call, store.due)
                        nursery.start_soon(call, store.claim, "p", 3, "me", 5)
                        nursery.start_soon(call, store.stats)
                        nursery.start_soon(call, store.jobs)
                        nursery.start_soon(call, store.wait, 0.01)
                        nursery.start_soon(call, store.enqueue, [job("new", delay=1)])

    trio.run(main)
    assert raised
    assert all("damaged" in text or "could not be used" in text for text in raised)


@pytest.mark.parametrize("seed", range(30))
def test_a_flipped_byte_is_never_taken_for_data(path, seed):
    """Wherever it is, what comes back is what was written, or is set aside, or a `StoreError` says so."""
    payloads = {each: f'"{each * 30}"' for each in IDS}

    async def write():
        async with open_store(f"sqlite:{path}") as store:
            await store.enqueue([job(each, payload=payloads[each]) for each in IDS])

    trio.run(write)
    rng = random.Random(seed)
    data = bytearray(path.read_bytes())
    texts = [at for at in range(len(data)) if data[at : at + 4] == b"job-"]
    data[rng.choice(texts) + rng.randrange(8)] ^= 1 << rng.randrange(8)
    path.write_bytes(data)

    async def read():
        try:
            async with open_store(f"sqlite:{path}") as store:
                await store.due()
                for each in await store.claim("p", 100, "me", 5):
                    assert each.payload == payloads[each.ticket.id]
                for each in await store.jobs(status=JobStatus.FAILED):
                    assert "damaged" in each.error
        except StoreError as error:
            assert "damaged" in str(error)

    trio.run(read)


@pytest.mark.parametrize("how", ["deleted", "moved", "replaced"])
def test_a_file_that_has_gone_is_noticed_before_a_commit(path, how):
    """Nothing is said to be stored that nobody would find; once the file is back, all is well."""
    aside = path.with_name("aside.db")

    async def main():
        async with open_store(f"sqlite:{path}") as store:
            await store.enqueue([job("a")])
            path.rename(aside)
            if how == "replaced":
                apsw.Connection(str(path)).close()
                path.write_bytes(b"")
            with pytest.raises(StoreError, match="deleted or moved"):
                await store.enqueue([job("b")])
            with pytest.raises(StoreError, match="open it anew"):
                await claimed(store)
            if how == "deleted":
                return
            aside.replace(path)
            await store.enqueue([job("c")])
            assert [ticket.id for ticket in await claimed(store)] == ["a", "c"]

    trio.run(main)

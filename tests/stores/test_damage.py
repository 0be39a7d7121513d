"""Files that are damaged, deleted or moved: one job's trouble, or a `StoreError`, and every call has an answer."""

import random

import apsw
import attrs
import pytest
import trio

import scrapeengine as se
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
def test_a_damaged_row_is_handed_out_to_be_ended_and_the_others_run(path, statement):
    """It fails, with the reason; all others are claimed in the same call, and a new enqueue repairs it."""

    async def main():
        async with open_store(f"sqlite:{path}") as store:
            await store.enqueue([job(each) for each in IDS[:4]])
            damage(path, statement)
            found = await store.claim("p", 4, "me", 5)
            assert ["damaged" in (each.damage or "") for each in found] == [False, True, False, False]
            assert [each.ticket.id for each in found if each.damage is None] == [IDS[0], IDS[2], IDS[3]]
            ends = [done(each.ticket) for each in found]
            ends[1] = attrs.evolve(ends[1], status=FAILED, error=found[1].damage, ends=True)
            assert await store.complete(ends) == [Reply.OK] * 4
            (aside,) = await store.jobs(status=FAILED)
            assert "damaged" in aside.error
            assert (await store.stats())["p"].failed == 1
            (again,) = await store.enqueue([job(aside.id, payload="1")])
            assert (again.new, again.job.payload) == (True, "1")
            assert [each.payload for each in await store.claim("p", 9, "me", 5)] == ["1"]

    trio.run(main)


def places(path, text):
    """List where a text stands in a file."""
    held, found = path.read_bytes(), []
    while (at := held.find(text, found[-1] + 1 if found else 0)) >= 0:
        found.append(at)
    return found


@pytest.mark.parametrize("bit", [0, 1, 6])
def test_a_flipped_bit_in_an_id_is_one_jobs_trouble_wherever_it_stands(path, tmp_path, bit):
    """In the row or in an index: all the others end once, and their ends are accepted; what is left of it ends too."""
    ids = [f"id{number:04}" for number in range(240)]

    async def fill():
        async with open_store(f"sqlite:{path}") as store:
            await store.enqueue([job(each) for each in ids])

    async def empty(file):
        async with open_store(f"sqlite:{file}") as store:
            ended = []
            while found := await store.claim("p", 50, "me", 5):
                tickets = [each.ticket for each in found]
                ended += [each.ticket.id for each in found if each.damage is None]
                assert await store.renew(tickets, 5) == [Reply.OK] * len(found)
                assert await store.release(tickets[:1]) == [Reply.OK]
                (again,) = await store.claim("p", 1, "me", 5)
                tickets[0] = again.ticket
                assert await store.complete([done(ticket) for ticket in tickets]) == [Reply.OK] * len(found)
            counted = (await store.stats())["p"]
            assert (counted.done, counted.ready, counted.leased) == (240, 0, 0)
            return ended

    trio.run(fill)
    stands = places(path, b"id0195")
    assert len(stands) >= 2
    for number, at in enumerate(stands):
        held = bytearray(path.read_bytes())
        held[at + 3] ^= 1 << bit
        file = tmp_path / f"{bit}-{number}.db"
        file.write_bytes(held)
        ended = trio.run(empty, file)
        assert sorted({*ended, "id0195"} & {*ids}) == ids
        assert len(ended) == len(set(ended)) >= 239


async def test_all_hear_of_a_damaged_row(path, caplog):
    """Sinks have its failure, the report counts it, and a line in the log says which it is."""
    got = []

    async def sink(batch):
        got.extend(batch)

    async def scrape(task):
        return task.event.data

    async with open_store(f"sqlite:{path}") as store:
        engine = se.Engine([se.Platform("p", scrape)])
        await engine.enqueue(store, [se.Event(number, data=number) for number in range(5)])
        damage(path, "UPDATE texts SET payload = 'other' WHERE number = 3")
        async with engine.serve(store, sinks=[sink], until="empty") as run:
            report = await run.wait()
        assert sorted((each.event.id, type(each)) for each in got if each.event.id == "2") == [("2", se.Failure)]
        assert [str(each.error) for each in got if each.event.id == "2"] == [(await store.get("p", "2")).error]
        assert await store.undelivered("", 9, 5) == []
    assert (report.outcomes.succeeded, report.outcomes.failed, report.errors) == (4, 1, {"StoreError": 1})
    (line,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert "id='2'" in line.getMessage()
    assert "damaged" in line.getMessage()


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
                    assert each.damage is not None or each.payload == payloads[each.ticket.id]
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

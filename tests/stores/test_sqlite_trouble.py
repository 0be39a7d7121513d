"""What happens to a file in use, and what a store says then: what to do, and that nothing is lost."""

import apsw
import pytest
import trio

from scrapeengine.errors import StoreBusy, StoreClosed, StoreError
from scrapeengine.stores import open_store
from scrapeengine.stores.sqlite.sums import Sums
from stores.harness import claimed, job, opened


def with_limit(main):
    """Run something that must not take long."""

    async def limited():
        with trio.fail_after(5):
            await main()

    trio.run(limited)


def test_a_locked_file_makes_calls_wait_and_then_fail(path):
    """Within the patience a call goes on once the lock is gone; beyond it `StoreBusy`, and nothing has happened."""

    async def main():
        async with open_store(f"sqlite:{path}", busy_timeout=0.2) as store:
            await store.enqueue([job("a")])
            db = apsw.Connection(str(path))
            db.execute("BEGIN IMMEDIATE")
            assert (await store.get("p", "a")).id == "a", "reading needs no lock"
            with pytest.raises(StoreBusy, match="call again"):
                await store.enqueue([job("b")])
            with trio.move_on_after(0.05) as scope:
                await store.enqueue([job("c")])
            assert scope.cancelled_caught
            async with trio.open_nursery() as nursery:
                nursery.start_soon(store.enqueue, [job("d")])
                await trio.sleep(0.05)
                db.execute("ROLLBACK")
            assert [ticket.id for ticket in await claimed(store)] == ["a", "d"]
            db.close()

    trio.run(main)


def test_a_store_can_be_left_while_its_file_is_locked(path):
    """At once, whatever its patience; what was called for has not happened."""

    async def main():
        ended = []

        async def enqueue(store):
            with pytest.raises(StoreClosed):
                await store.enqueue([job("a")])
            ended.append(True)

        db = apsw.Connection(str(path))
        async with trio.open_nursery() as nursery:
            async with open_store(f"sqlite:{path}", busy_timeout=600) as store:
                db.execute("BEGIN IMMEDIATE")
                nursery.start_soon(enqueue, store)
                await trio.sleep(0.05)
            db.execute("ROLLBACK")
        assert ended == [True]
        db.close()
        assert await opened(path) == {}

    with_limit(main)


def test_a_full_disk_loses_nothing(path, hook):
    """The call fails whole and says what to do, others in the same transaction or not; with room, all is well."""
    connections = []

    async def main():
        async with open_store(f"sqlite:{path}") as store:
            await store.enqueue([job("a")])
            db = connections[0]
            pages = db.pragma("page_count")
            db.pragma("max_page_count", pages + 2)
            with pytest.raises(StoreError, match="make room there"):
                await store.enqueue([job(str(number), payload="x" * 1000) for number in range(100)])
            assert await store.get("p", "0") is None
            assert await store.position("p", "a") == 0
            db.pragma("max_page_count", 2**30)
            await store.enqueue([job(str(number), payload="x" * 1000) for number in range(100)])
            assert (await store.stats())["p"].ready == 101
            assert await store.position("p", "99") == 100

    hook(connections.append)
    trio.run(main)


def test_a_call_that_fails_takes_no_other_with_it(path, hook):
    """Of those that are joined in one transaction, only the one that is too large fails."""
    hook(lambda db: db.limit(apsw.SQLITE_LIMIT_LENGTH, 10_000))
    failed = []

    async def main():
        async def enqueue(number):
            try:
                await store.enqueue([job(f"{number}-small"), job(f"{number}", payload="x" * (20_000 * (number == 3)))])
            except StoreError as error:
                assert "as large as that" in str(error)
                failed.append(number)

        async with open_store(f"sqlite:{path}") as store:
            async with trio.open_nursery() as nursery:
                for number in range(8):
                    nursery.start_soon(enqueue, number)
            assert failed == [3]
            assert (await store.stats())["p"].ready == 14
            assert await store.get("p", "3-small") is None
            there = [f"{number}{end}" for number in range(8) if number != 3 for end in ("", "-small")]
            assert sorted([await store.position("p", id) for id in there]) == list(range(14))

    trio.run(main)


def test_a_transaction_that_fails_takes_all_its_calls_back(path, monkeypatch):
    """All that were joined in it get the error, nothing of them is there, none is open, and the next works."""
    write, failing, failed = Sums.write, [], []

    def fail(sums):
        write(sums)
        if failing:
            raise apsw.IOError("the disk is gone")

    async def main():
        async def enqueue(id):
            try:
                await store.enqueue([job(id)])
            except StoreError as error:
                failed.append((id, "look after its disk" in str(error)))

        async with open_store(f"sqlite:{path}") as store:
            await store.enqueue([job("a")])
            failing.append(True)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(enqueue, "b")
                nursery.start_soon(enqueue, "c")
            failing.clear()
            assert sorted(failed) == [("b", True), ("c", True)]
            db = apsw.Connection(str(path))
            db.execute("BEGIN EXCLUSIVE")
            db.close()
            await store.enqueue([job("d")])
            assert [ticket.id for ticket in await claimed(store)] == ["a", "d"]

    monkeypatch.setattr(Sums, "write", fail)
    trio.run(main)


def test_a_read_only_file_fails_calls_and_not_the_store(path, hook):
    """What cannot be written is said so; once it can, all is well."""
    connections = []

    async def main():
        async with open_store(f"sqlite:{path}") as store:
            db = connections[0]
            db.pragma("query_only", 1)
            with pytest.raises(StoreError, match="read-only"):
                await store.enqueue([job("a")])
            db.pragma("query_only", 0)
            assert [known.new for known in await store.enqueue([job("a")])] == [True]

    hook(connections.append)
    trio.run(main)


@pytest.mark.parametrize("busy", [False, True])
def test_a_cancelled_call_has_happened_whole_or_not_at_all(path, busy):
    """Wherever it is cancelled: what returned has happened, what was cancelled has not; and none is half done."""

    async def main():
        returned, cancelled = [], []

        async def enqueue(number):
            with trio.CancelScope() as scope:
                scopes.append(scope)
                await store.enqueue([job(f"{number}"), job(f"{number}-too")])
                returned.append(number)
            if scope.cancelled_caught:
                cancelled.append(number)

        async with open_store(f"sqlite:{path}") as store:
            for number in range(120):
                scopes = []
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(enqueue, number)
                    if busy:
                        nursery.start_soon(store.stats)
                    if number % 2:
                        await trio.sleep(number / 200_000)
                    for _ in range(number % 12):
                        await trio.lowlevel.checkpoint()
                    scopes and scopes[0].cancel()
            assert set(returned).isdisjoint(cancelled)
            for number in range(120):
                there = [await store.get("p", id) is not None for id in (f"{number}", f"{number}-too")]
                assert there == [number in returned] * 2
            assert returned, "some came through"

    trio.run(main)


def test_a_call_that_is_cancelled_while_the_file_is_locked_has_not_happened(path):
    """Also where it was taken already, and had to go back; others go on waiting for the lock."""

    async def main():
        async with open_store(f"sqlite:{path}") as store, trio.open_nursery() as nursery:
            db = apsw.Connection(str(path))
            db.execute("BEGIN IMMEDIATE")
            nursery.start_soon(store.enqueue, [job("patient")])
            for turns in range(60):
                with trio.CancelScope() as scope:
                    async with trio.open_nursery() as inner:
                        inner.start_soon(store.enqueue, [job(f"{turns}")])
                        if turns % 2:
                            await trio.sleep(turns / 4000)
                        for _ in range(turns % 12):
                            await trio.lowlevel.checkpoint()
                        scope.cancel()
                assert scope.cancelled_caught
                if turns % 10 == 0:
                    assert await store.get("p", "patient") is None, "reading needs no lock"
            db.execute("ROLLBACK")
            db.close()
            while await store.get("p", "patient") is None:
                await trio.sleep(0.01)
            assert (await store.stats())["p"].ready == 1

    with_limit(main)

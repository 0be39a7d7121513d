"""No call leaves a transaction open: when it has returned, anybody can lock the whole file at once."""

from functools import partial

import apsw
import pytest
import trio

from scrapeengine.errors import StoreFull
from scrapeengine.model.job import Delivery, ShareRequest, Ticket
from scrapeengine.stores import open_store
from stores.harness import claimed, done, job

NOBODYS = Ticket("p", "x", 99)

CALLS = {
    "enqueue": lambda store: partial(store.enqueue, [job("new")]),
    "get": lambda store: partial(store.get, "p", "a"),
    "cancel": lambda store: partial(store.cancel, "p", "a"),
    "position": lambda store: partial(store.position, "p", "a"),
    "stats": lambda store: store.stats,
    "due": lambda store: store.due,
    "claim": lambda store: partial(store.claim, "p", 1, "me", 5),
    "renew": lambda store: partial(store.renew, [NOBODYS], 5),
    "complete": lambda store: partial(store.complete, [done(NOBODYS)]),
    "release": lambda store: partial(store.release, [NOBODYS]),
    "undelivered": lambda store: partial(store.undelivered, "", 1, 5),
    "acknowledge": lambda store: partial(store.acknowledge, "", [Delivery(*NOBODYS)]),
    "recall": lambda store: partial(store.recall, "p", "u"),
    "hasten": lambda store: store.hasten,
    "lock": lambda store: partial(store.lock, "l", "me", 5),
    "defer": lambda store: partial(store.defer, "", [], 1),
    "unlock": lambda store: partial(store.unlock, "l", "me"),
    "share": lambda store: partial(
        store.share, "me", {"p": ShareRequest(limit=1, wanted=1, held=0, rates=(), requests=0)}, 5
    ),
    "wait": lambda store: partial(store.wait, 0.01),
}


def lock_at_once(path):
    """Lock the whole file without any patience, and let it go."""
    db = apsw.Connection(str(path))
    db.execute("BEGIN EXCLUSIVE")
    db.execute("ROLLBACK")
    db.close()


@pytest.mark.parametrize("name", CALLS)
def test_no_call_leaves_a_transaction_open(path, name):
    """Whichever call has returned last."""

    async def main():
        async with open_store(f"sqlite:{path}") as store:
            await store.enqueue([job("a"), job("b")])
            await CALLS[name](store)()
            lock_at_once(path)
            await store.stats()

    trio.run(main)


@pytest.mark.parametrize("name", CALLS)
def test_no_cancelled_call_leaves_a_transaction_open(path, name):
    """Nor does one that was cancelled, wherever it was, nor one that failed."""

    async def main():
        async with open_store(f"sqlite:{path}", max_pending=2) as store:
            await store.enqueue([job("a"), job("b")])
            for turns in range(8):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(attempt, CALLS[name](store))
                    for _ in range(turns):
                        await trio.lowlevel.checkpoint()
                    nursery.cancel_scope.cancel()
                await store.get("p", "a")
                lock_at_once(path)

    async def attempt(call):
        try:
            await call()
        except StoreFull:
            assert name == "enqueue"

    trio.run(main)


def test_waiting_holds_nothing(path):
    """Neither a call that waits for something to be ready, nor one that waits for room."""

    async def main():
        async with open_store(f"sqlite:{path}", max_pending=1, full="wait") as store:
            await store.enqueue([job("a", delay=60)])
            async with trio.open_nursery() as nursery:
                nursery.start_soon(store.wait, 60)
                nursery.start_soon(store.enqueue, [job("b")])
                for _ in range(20):
                    await trio.sleep(0.005)
                    await store.get("p", "a")
                    lock_at_once(path)
                nursery.cancel_scope.cancel()
            assert await claimed(store) == []

    trio.run(main)

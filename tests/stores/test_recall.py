"""Validators of a store in a file are read beside what is being written."""

import threading

import trio

from scrapeengine.stores import Validator
from scrapeengine.stores.sqlite.policy import SqlitePolicy
from scrapeengine.stores.sqlite.store import in_file
from stores.harness import claimed, done, job


async def remember(store, *etags):
    """Have a job say what is known of the URL "u", once for each."""
    for etag in etags:
        await store.enqueue([job(etag)])
        (ticket,) = await claimed(store, 1)
        await store.complete([done(ticket, validators={"u": Validator(etag)})])


def test_it_waits_for_nobody_who_writes(path):
    """While a transaction stands still in the connection's thread, and with it all other calls."""
    goes_on, begun = threading.Event(), threading.Event()

    def stand_still(_):
        begun.set()
        assert goes_on.wait(10)

    async def main():
        async with in_file(str(path), SqlitePolicy()) as store, trio.open_nursery() as nursery:
            await remember(store, '"1"')
            nursery.start_soon(store._backend.run, stand_still)
            await trio.to_thread.run_sync(begun.wait, 10)
            try:
                with trio.fail_after(5):
                    assert await store.recall("p", "u") == Validator('"1"')
            finally:
                goes_on.set()

    trio.run(main)


def test_it_sees_whatever_a_call_has_answered(path):
    """Each time what was remembered last, by whatever connection that was written."""

    async def main():
        async with in_file(str(path), SqlitePolicy()) as one, in_file(str(path), SqlitePolicy()) as other:
            for number in range(40):
                etag = f'"{number}"'
                await remember((one, other)[number % 3 == 0], etag)
                assert [await each.recall("p", "u") for each in (one, other)] == [Validator(etag)] * 2
                assert await one.recall("p", "v") is None

    trio.run(main)


def test_where_that_fails_it_is_asked_as_all_calls_are(path):
    """A reader that cannot read costs nothing but time."""

    async def main():
        async with in_file(str(path), SqlitePolicy()) as store:
            await remember(store, '"1"')
            store._backend._db.reader.close()
            assert await store.recall("p", "u") == Validator('"1"')

    trio.run(main)

"""Which files a store can be opened on, and what it says of others: what to do instead."""

import os
import stat

import apsw
import pytest
import trio

from scrapeengine.errors import StoreBusy, StoreError
from scrapeengine.model.job import Reply
from scrapeengine.stores import open_store
from scrapeengine.stores.sqlite.schema import APPLICATION_ID, MIGRATIONS
from stores.harness import claimed, done, job, opened


def execute(path, *statements):
    """Do something to a file behind the store's back."""
    db = apsw.Connection(str(path))
    for statement in statements:
        db.execute(statement)
    db.close()


def refused(path, text, **options):
    """Open a file that cannot be opened, and return what was said."""
    with pytest.raises(StoreError, match=text) as caught:
        trio.run(lambda: opened(path, **options))
    assert not isinstance(caught.value.__cause__, StoreError)
    return caught.value


def test_a_new_file_is_its_owners_only(path):
    """It, and what SQLite puts beside it, can be read by nobody else, whatever the umask."""
    before = os.umask(0)

    async def main():
        async with open_store(f"sqlite:{path}") as store:
            await store.enqueue([job("a")])
            return [stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()]

    try:
        assert trio.run(main) == [0o600] * 3
    finally:
        os.umask(before)


def test_what_was_stored_is_there_again(path):
    """A file that is opened anew has what it had; leases hold, and a completion is accepted by whoever brings it."""

    async def main():
        async with open_store(f"sqlite:{path}") as store:
            await store.enqueue([job("a"), job("b")])
            (a,) = await claimed(store, 1, lease=60)
        async with open_store(f"sqlite:{path}") as store:
            assert [ticket.id for ticket in await claimed(store)] == ["b"]
            assert await store.complete([done(a), done(a)]) == [Reply.OK, Reply.ALREADY]

    trio.run(main)


def test_a_later_version_is_refused(path):
    """A file of a version that is not known yet is left as it is."""
    trio.run(opened, path)
    execute(path, f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    refused(path, "later scrapeengine .*install that one")


def test_an_earlier_version_is_brought_up_to_date(path, monkeypatch):
    """All that is new is done in one transaction; where that fails, nothing is done."""
    trio.run(opened, path)
    schema = "scrapeengine.stores.sqlite.schema.MIGRATIONS"
    monkeypatch.setattr(schema, (*MIGRATIONS, ("CREATE TABLE more (a)", "CREATE TABLE jobs (a)")))
    refused(path, "already exists")
    monkeypatch.setattr(schema, (*MIGRATIONS, ("CREATE TABLE more (a)",), ("CREATE TABLE most (a)",)))
    trio.run(opened, path)
    db = apsw.Connection(str(path))
    assert db.pragma("user_version") == len(MIGRATIONS) + 2
    assert db.pragma("application_id") == APPLICATION_ID
    db.close()


def test_what_is_no_database_is_refused(path):
    """It is left as it is."""
    path.write_bytes(b"my diary, never to be touched " * 100)
    before = path.read_bytes()
    refused(path, "not a database .*another path")
    assert path.read_bytes() == before


@pytest.mark.parametrize("statement", ["CREATE TABLE t (a)", "PRAGMA application_id = 5", "PRAGMA user_version = 5"])
def test_the_database_of_another_program_is_refused(path, statement):
    """Not even its journal mode is changed."""
    execute(path, "VACUUM", statement)
    before = path.read_bytes()
    refused(path, "another program: give the path")
    assert path.read_bytes() == before


def test_a_path_that_is_no_file_is_refused(tmp_path, path):
    """A directory, or a file in none that is there."""
    refused(tmp_path, "cannot be opened: give the path of a file")
    refused(path / "more" / "jobs.db", "in a directory that exists")
    (tmp_path / "file").touch()
    refused(tmp_path / "file" / "jobs.db", "cannot be opened")


def test_a_read_only_file_is_refused(path, hook):
    """A file that may only be read, new or not."""
    hook(lambda db: db.pragma("query_only", 1))
    refused(path, "read-only: let this user write")


def test_a_locked_file_cannot_be_opened_until_it_is_free(path):
    """Patience has an end; later all is well."""
    trio.run(opened, path)
    db = apsw.Connection(str(path))
    db.execute("PRAGMA locking_mode = EXCLUSIVE")
    db.execute("BEGIN EXCLUSIVE")
    assert isinstance(refused(path, "locked for longer than `busy_timeout`", busy_timeout=0.05), StoreBusy)
    db.close()
    trio.run(opened, path)


def test_many_open_one_new_file_at_once(path):
    """All of them get it, and its tables are made once."""

    async def main():
        async with trio.open_nursery() as nursery:
            for _ in range(8):
                nursery.start_soon(opened, path)

    trio.run(main)

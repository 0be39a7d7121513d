"""How jobs are listed in a file: by indexes, so that a page costs what it has, and not what there is."""

import apsw
import pytest
import trio

from scrapeengine.model.job import JobStatus
from scrapeengine.stores import open_store
from stores.harness import FAILED, claimed, done, job


@pytest.mark.parametrize(
    "which",
    [
        {"status": FAILED},
        {"status": FAILED, "platform": "p"},
        {"status": [FAILED, JobStatus.CANCELLED]},
        {"status": JobStatus.LEASED},
        {"status": JobStatus.DELAYED},
        {"platform": "q"},
        {},
        {"status": JobStatus.READY},
        {"after": ("p", "1998")},
    ],
)
def test_a_page_costs_what_it_has(path, hook, which):
    """Of four thousand jobs a few are meant, or the first of many: SQLite takes a few thousand steps at most."""
    steps, connections = [0], []

    def count():
        steps[0] += 1
        return False

    async def main():
        async with open_store(f"sqlite:{path}", max_kept=10_000) as store:
            await store.enqueue([job(f"{number:04}") for number in range(4000)])
            tickets = await claimed(store, 2000)
            await store.complete([done(each, FAILED if each.id == "1000" else JobStatus.DONE) for each in tickets])
            await claimed(store, 2)
            await store.cancel("p", "3000")
            await store.enqueue([job("x", delay=50), job("x", "q")])
            db = connections[0]  # the others are of files that say who lives
            db.set_progress_handler(count, 10)
            page = await store.jobs(limit=10, **which)
            assert 1 <= len(page) <= 10
            assert 10 * steps[0] < 20_000

    hook(connections.append)
    trio.run(main)


def test_many_that_are_pending_are_walked_through(path, monkeypatch):
    """As a few that are sorted are, they come in the order of platforms and ids, each once."""

    async def main():
        async with open_store(f"sqlite:{path}") as store:
            await store.enqueue([job(f"{number:02}", delay=number % 3) for number in range(40, 0, -1)])
            found = {}
            for few in (1000, 3):
                monkeypatch.setattr("scrapeengine.stores.sqlite.jobs._FEW", few)
                for status in (JobStatus.READY, JobStatus.DELAYED):
                    pages, last = [], None
                    while page := await store.jobs(status=status, after=last, limit=7):
                        pages += [each.id for each in page]
                        last = page[-1].key
                    found.setdefault(status, []).append(pages)
            for first, second in found.values():
                assert first == second == sorted(first)
            assert len(found[JobStatus.READY][0]) + len(found[JobStatus.DELAYED][0]) == 40

    trio.run(main)


def test_large_numbers_are_changed_in_short_steps(path, hook):
    """Thousands are run again in transactions of a hundred jobs each: others on the file never wait for longer."""
    connections, rows = [], []

    def changed(_, __, table, ___):
        rows[-1] += table == "jobs"

    def committed():
        rows.append(0)
        return False

    async def main():
        async with open_store(f"sqlite:{path}") as store:
            for _ in range(10):
                await store.enqueue([job(f"{_}-{number}") for number in range(300)])
            tickets = await claimed(store, 3000)
            await store.complete([done(each, FAILED) for each in tickets])
            db = connections[0]  # the others are of files that say who lives
            committed()
            db.set_update_hook(changed)
            db.set_commit_hook(committed)
            assert await store.retry() == 3000
            assert await store.forget() == 0

    hook(connections.append)
    trio.run(main)
    assert sum(rows) == 3000
    assert max(rows) <= 100
    assert apsw.Connection(str(path)).execute("SELECT count(*) FROM jobs WHERE status = 0").fetchone() == (3000,)

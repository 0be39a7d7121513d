"""What a store in a file asks of SQLite: transactions, and statements by the rows that they are for.

The connection is SQLite's own, without its thread: how calls join in transactions depends on how fast a thread is.
"""

from collections import Counter
from functools import partial

import apsw
import pytest
import trio
from trio.testing import MockClock

import scrapeengine as se
from costs.counting import a_task, run
from costs.scenes import returns
from stores.harness import done, job

BATCHES = {
    # what is called: statements for each job, and beside them
    "enqueue": (3, 17),  # is it there? into `jobs`, into `texts`
    "claim": (2, 28),  # leased in `jobs`, its `texts`; beside them, once for each opening, that it lives
    "complete": (3, 11),  # is it there? its `texts`, ended in `jobs`
}
SERVED = {
    # by limit, for each job: statements, among them those of transactions and savepoints; calls that write;
    # transactions. Its outcome is kept until the consumer has had it: two statements, and a call for a hundred of them
    1: {"statements": 25.02, "calls": 1.01, "writes": 0.51, "reads": 0.49},
    10: {"statements": 9.54, "calls": 0.15, "writes": 0.08, "reads": 0.06},
}


class Connection:
    """A connection whose calls run at once, after a turn of the loop."""

    reader = None

    def __init__(self, path, statements):
        self._db = apsw.Connection(path)
        self._db.trace_v2(apsw.SQLITE_TRACE_STMT, lambda event: statements.update([event["sql"]]))

    async def run(self, function, *args):
        """Call a function with the connection."""
        await trio.lowlevel.checkpoint()
        return function(self._db, *args)

    async def open_reader(self, path):
        """Open none: all goes through the one whose statements are counted."""

    async def aclose(self):
        """Close it."""
        self._db.close()


@pytest.fixture
def statements(monkeypatch):
    """Count the statements of all stores."""
    counted = Counter()

    async def connect(path):
        return Connection(path, counted)

    monkeypatch.setattr("scrapeengine.stores.sqlite.store.connect", connect)
    return counted


def taken(statements):
    """Return what was counted, and begin anew."""
    writes = statements["BEGIN IMMEDIATE"]
    found = {
        "statements": statements.total(),
        "calls": statements["SAVEPOINT call"],
        "writes": writes,
        "reads": statements["COMMIT"] - writes,
    }
    statements.clear()
    return found


@pytest.mark.parametrize("n", [100, 200])
def test_a_batch_is_one_transaction_and_costs_two_or_three_statements_a_job(statements, tmp_path, n):
    """Enqueued, claimed, completed: what is not for one job is as much for two hundred as for one hundred."""

    async def main():
        found = {}
        async with se.open_store(f"sqlite:{tmp_path}/jobs.db") as store:
            taken(statements)
            await store.enqueue([job(str(number)) for number in range(n)])
            found["enqueue"] = taken(statements)
            claimed = await store.claim("p", n, "me", 30.0)
            found["claim"] = taken(statements)
            await store.complete([done(each.ticket) for each in claimed])
            found["complete"] = taken(statements)
        return found

    assert run(main) == {
        name: {"statements": each * n + beside, "calls": 1, "writes": 1, "reads": 0}
        for name, (each, beside) in BATCHES.items()
    }


def test_a_moment_costs_one_statement_and_only_where_something_is_written(statements, tmp_path):
    """Time stands still in the other tests; where it has passed, the transaction writes down that it has, once."""

    async def main():
        async with se.open_store(f"sqlite:{tmp_path}/jobs.db") as store:
            found = []
            await store.lock("l", "me", 5)
            for seconds in (0, 0.1):
                await store.enqueue([job(f"warm-{seconds}")])
                for call in (partial(store.lock, "l", "me", 5), store.due):
                    trio.lowlevel.current_clock().jump(seconds)
                    taken(statements)
                    await call()
                    found.append(taken(statements)["statements"])
            return found

    lock, due, later_lock, later_due = run(main, clock=MockClock())
    assert (later_lock - lock, later_due - due) == (1, 0)


def test_who_lives_is_asked_twice_a_second_and_costs_one_statement_where_nobody_else_is_there(statements, tmp_path):
    """However many calls are made in between; and nothing that is only enqueued or read makes an opening be seen."""

    async def main():
        async with se.open_store(f"sqlite:{tmp_path}/jobs.db") as store:
            await store.enqueue([job("a")])
            await store.stats()
            assert not (tmp_path / "jobs.db-live").exists()
            for _ in range(100):
                trio.lowlevel.current_clock().jump(0.125)
                await store.stats()
                await store.get("p", "a")
            return statements["SELECT number FROM openings"]

    assert run(main, clock=MockClock()) == 1 + 100 * 0.125 / 0.5


@pytest.mark.parametrize("limit", SERVED)
def test_a_served_job_costs_few_statements_and_fewer_transactions(statements, tmp_path, limit):
    """From its claim to its end, with all that an engine asks beside it."""

    async def main(n):
        engine = se.Engine([se.Platform("p", returns, limit=limit)], event_limit=limit)
        async with se.open_store(f"sqlite:{tmp_path}/{n}.db") as store:
            await engine.enqueue(store, [se.Event(number) for number in range(n)])
            taken(statements)
            async with engine.serve(store) as stream:
                async for _ in stream:
                    if stream.report.outcomes.total == n:
                        await stream.stop(0)
            return taken(statements)

    def count(n):
        for each in tmp_path.iterdir():
            each.unlink()
        return run(main, n, clock=MockClock(autojump_threshold=0))

    assert a_task(count, 100, warm=20) == SERVED[limit]

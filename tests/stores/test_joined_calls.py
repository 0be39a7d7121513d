"""Calls that are joined in one transaction, against the same calls in a transaction each."""

from functools import partial

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrapeengine.errors import StoreFull
from scrapeengine.model.job import Ticket
from scrapeengine.stores.clock import Clock
from scrapeengine.stores.policy import StorePolicy
from scrapeengine.stores.rules import jobs, leasing
from scrapeengine.stores.sqlite.liveness import Liveness
from scrapeengine.stores.sqlite.schema import set_up
from scrapeengine.stores.sqlite.sums import Sums
from scrapeengine.stores.sqlite.transaction import StoreCall, transact
from stores.harness import done, job

CLOCK = Clock(1, lambda: 5.0, float, lambda: 5.0, 0.0)
IDS = st.sampled_from("abcdef")
JOBS = st.builds(job, IDS, priority=st.sampled_from([0, 0, 0, 1, -(2**60)]), delay=st.sampled_from([0.0, 0.0, 1.0]))
RULES = st.one_of(
    st.builds(lambda found: partial(jobs.enqueue, jobs=found), st.lists(JOBS, min_size=2, max_size=6)),
    st.builds(lambda name: partial(jobs.position, platform="p", id=name), IDS),
    st.builds(lambda name: partial(jobs.get, platform="p", id=name), IDS),
    st.builds(lambda name: partial(jobs.cancel, platform="p", id=name), IDS),
    st.builds(lambda n: partial(leasing.claim, platform="p", n=n, owner="me", lease=9.0, ids=None), st.integers(0, 3)),
    st.builds(
        lambda name, token: partial(jobs.complete, completions=[done(Ticket("p", name, token))]),
        IDS,
        st.integers(1, 4),
    ),
    st.just(jobs.stats),
    st.just(partial(leasing.due, until=None)),
)


@pytest.fixture(autouse=True)
def _few_at_once(monkeypatch):
    """Let what a call changes be written early, and leaves of the trie be small."""
    monkeypatch.setattr("scrapeengine.stores.sqlite.sums._MOST", 1)
    monkeypatch.setattr("scrapeengine.stores.sqlite.sums.BUCKET", 1)


def fresh():
    """Make a database in memory with all tables."""
    db = apsw.Connection(":memory:")
    set_up(db, "a test", "full")
    return db


def said(call):
    """Tell what a call has said."""
    return str(call.error) if call.error is not None else call.answer


@given(st.lists(RULES, max_size=12), st.integers(2, 8))
def test_joined_calls_see_one_another_in_their_order(rules, max_pending):
    """Each says what it would have said alone after those before it, one that fails included; so do the tables."""
    settings = StorePolicy(max_pending=max_pending)
    together, apart = fresh(), fresh()
    joined = [StoreCall(rule, reads=False) for rule in rules]
    transact(together, joined, settings, CLOCK, Liveness("/nowhere/jobs.db"))
    alone = [StoreCall(rule, reads=False) for rule in rules]
    for call in alone:
        transact(apart, [call], settings, CLOCK, Liveness("/nowhere/jobs.db"))
    assert [said(call) for call in joined] == [said(call) for call in alone]
    assert all(call.error is None or isinstance(call.error, StoreFull) for call in joined)
    for table in ("jobs", "texts", "counts", "ranks"):
        query = f"SELECT * FROM {table} ORDER BY 1, 2, 3"
        if table == "counts":
            query = "SELECT * FROM counts WHERE n <> 0 ORDER BY 1, 2"
        assert together.execute(query).fetchall() == apart.execute(query).fetchall()


def test_positions_count_what_is_not_written_yet():
    """Whether it is settled or not, written early, or cancelled out; in the end there is no node with nothing below."""
    db = fresh()
    sums = Sums(db)
    for seq in (0, 1, 2):
        sums.rank("p", 0, seq, 1)
        sums.settle()
    sums.rank("q", 0, 0, 1)
    assert [sums.before("p", priority, seq) for priority, seq in ((0, 0), (0, 2), (-1, 0), (1, 9))] == [0, 2, 3, 0]
    sums.rank("p", 0, 0, -1)
    assert (sums.before("p", 0, 2), sums.before("q", 0, 2)) == (1, 1)
    sums.settle()
    sums.write()
    assert {row[3] for row in db.execute("SELECT * FROM ranks WHERE platform = 'p' AND level = 7")} == {1, 2}
    assert db.execute("SELECT * FROM ranks WHERE n = 0").fetchall() == []
    assert Sums(db).before("p", 0, 3) == 2

"""Calls that are joined in one transaction, against the same calls in a transaction each."""

from functools import partial

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrapeengine.errors import StoreFull
from scrapeengine.model.job import Ticket
from scrapeengine.stores.rules import arriving, completing, leasing
from scrapeengine.stores.settings import Settings
from scrapeengine.stores.sqlite.schema import set_up
from scrapeengine.stores.sqlite.transaction import Call, transact
from stores.harness import done, job

IDS = st.sampled_from("abcdef")
JOBS = st.builds(job, IDS, priority=st.sampled_from([0, 1, -1, 2**60]), delay=st.sampled_from([0.0, 0.0, 1.0]))
RULES = st.one_of(
    st.builds(lambda jobs: partial(arriving.enqueue, jobs=jobs), st.lists(JOBS, max_size=4)),
    st.builds(lambda name: partial(arriving.position, platform="p", id=name), IDS),
    st.builds(lambda name: partial(arriving.get, platform="p", id=name), IDS),
    st.builds(lambda name: partial(arriving.cancel, platform="p", id=name), IDS),
    st.builds(lambda n: partial(leasing.claim, platform="p", n=n, owner="me", lease=9.0, ids=None), st.integers(0, 3)),
    st.builds(
        lambda name, token: partial(completing.complete, completions=[done(Ticket("p", name, token))]),
        IDS,
        st.integers(1, 4),
    ),
    st.just(arriving.stats),
    st.just(partial(leasing.due, until=None)),
)


@pytest.fixture(autouse=True)
def _few_at_once(monkeypatch):
    """Let what a call changes be written early."""
    monkeypatch.setattr("scrapeengine.stores.sqlite.sums._MOST", 2)


def fresh():
    """Make a database in memory with all tables."""
    db = apsw.Connection(":memory:")
    set_up(db, "a test", "full")
    return db


def said(call):
    """Tell what a call has said."""
    return str(call.error) if call.error is not None else call.answer


@given(st.lists(RULES, max_size=12), st.integers(2, 5))
def test_joined_calls_see_one_another_in_their_order(rules, most_pending):
    """Each says what it would have said alone after those before it, one that fails included; so do the tables."""
    settings = Settings(most_pending=most_pending)
    together, apart = fresh(), fresh()
    joined = [Call(rule, reads=False) for rule in rules]
    transact(together, joined, settings, 5.0)
    alone = [Call(rule, reads=False) for rule in rules]
    for call in alone:
        transact(apart, [call], settings, 5.0)
    assert [said(call) for call in joined] == [said(call) for call in alone]
    assert all(call.error is None or isinstance(call.error, StoreFull) for call in joined)
    for table in ("jobs", "texts", "counts", "ranks"):
        query = f"SELECT * FROM {table} ORDER BY 1, 2, 3"
        if table == "counts":
            query = "SELECT * FROM counts WHERE n <> 0 ORDER BY 1, 2"
        assert together.execute(query).fetchall() == apart.execute(query).fetchall()

"""The list that stays in order, against one that is sorted anew each time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrapeengine.stores.memory import ordered
from scrapeengine.stores.memory.ordered import Ordered

ITEMS = st.tuples(st.integers(0, 30), st.integers(0, 3))


@pytest.fixture(autouse=True)
def _short_blocks(monkeypatch):
    """Let blocks be cut early."""
    monkeypatch.setattr(ordered, "_LONG", 3)


@given(st.lists(ITEMS, max_size=60), st.integers(0, 5), st.integers(-1, 31))
def test_it_has_what_a_sorted_list_has(items, n, key):
    """Whatever comes and goes: one that comes twice is taken out the second time."""
    mine, plain = Ordered(), []
    for item in items:
        if item in plain:
            mine.remove(item)
            plain.remove(item)
        else:
            mine.add(item)
            plain = sorted([*plain, item])
        assert list(mine) == plain
        assert [mine.place(each) for each in plain] == list(range(len(plain)))
        assert (len(mine), bool(mine)) == (len(plain), bool(plain))
        assert mine.first(n) == plain[:n]
        assert mine.through(key) == [each for each in plain if each[0] <= key]
        assert mine.through(key, n) == [each for each in plain if each[0] <= key][:n]

"""The packed set of tasks: a set like any other, of which a million cost little."""

from hypothesis import given
from hypothesis import strategies as st

from scrapeengine.decide.seen import SeenTasks

texts = st.text(max_size=4) | st.sampled_from(["", "a", "1:a", "a1", "\udc80"])


@given(st.lists(st.tuples(st.booleans(), texts, texts)), st.binary(max_size=64))
def test_it_is_a_set(calls, key):
    """Whatever is added is there, once, and nothing else; no two pairs are one, however they are cut."""
    seen, model = SeenTasks(key), set()
    for adds, platform, id in calls:
        if adds:
            assert seen.add(platform, id) == ((platform, id) not in model)
            model.add((platform, id))
        assert seen.has(platform, id) == ((platform, id) in model)
        assert len(seen) == len(model)


@given(st.integers(0, 3000))
def test_all_stay_when_tables_grow(count):
    """And what was not added stays out."""
    seen = SeenTasks(b"key")
    for number in range(count):
        assert seen.add("A", str(number))
    assert all(seen.has("A", str(number)) for number in range(count))
    assert not any(seen.has("B", str(number)) for number in range(count))
    assert len(seen) == count


def test_a_hundred_thousand_cost_at_most_48_bytes_each():
    """While it grows, too: each table grows by itself."""
    seen, most = SeenTasks(b"key"), 0.0
    for number in range(100_000):
        seen.add("shop.test", f"https://shop.test/items/{number}")
        if number > 20_000 and number % 997 == 0:
            most = max(most, seen.bytes_held / (number + 1))
    assert 12 < most <= 48


def test_keys_make_other_tables():
    """Whoever chooses ids cannot choose those that collide, for the key is not known to him."""
    tables = []
    for key in (b"one", b"two"):
        seen = SeenTasks(key)
        for number in range(100):
            seen.add("A", str(number))
        tables.append(seen.tables)
    assert tables[0] != tables[1]

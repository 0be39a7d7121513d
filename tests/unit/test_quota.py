"""What is told of things that happen any number of times: not too much, and nothing is lost."""

import json
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

import scrapeengine as se
from scrapeengine.decide import quota
from scrapeengine.decide.quota import Firsts, Quota, place_of

STEPS = st.lists(
    st.tuples(st.integers(0, 7), st.floats(0, 2, allow_subnormal=False), st.booleans()),
    max_size=60,
)


@given(STEPS)
def test_two_lines_of_a_kind_are_a_second_apart_and_nothing_is_lost(steps):
    """Each thing that happens is told, or counted by the next line of its kind, or by what is left in the end."""
    asked, now, told, counted = Quota(), 0.0, {}, {}
    for kind, passed, must in steps:
        now += passed
        left_out = asked.ask(kind, now, must=must)
        if left_out is not None:
            told.setdefault(kind, []).append((now, must))
            counted[kind] = counted.get(kind, 0) + 1 + left_out
    for times in told.values():
        assert all(must or later >= earlier + 1 for (earlier, _), (later, must) in pairwise(times))
    left = asked.left()
    for kind, _, _ in steps:
        assert counted[kind] + left.get(kind, 0) == sum(each == kind for each, _, _ in steps)


@given(st.lists(st.tuples(st.integers(0, 9), st.floats(0, 1.5), st.booleans()), max_size=80))
def test_what_is_remembered_is_bounded_and_nothing_is_lost_by_that(steps):
    """With room for three kinds: what can't be remembered shares one, and is counted there."""
    quota._MOST_KINDS, before = 3, quota._MOST_KINDS
    try:
        asked, now, lines, counted = Quota(), 0.0, [], 0
        for kind, passed, must in steps:
            now += passed
            left_out = asked.ask(kind, now, must=must)
            assert len(asked._kinds) <= 4
            if left_out is not None:
                counted += 1 + left_out
                if not must:
                    lines.append(now)
        assert counted + sum(asked.left().values()) == len(steps)
        # of four kinds at most, each at most once a second; those that have to be told may come between
        assert all(sum(at <= each < at + 1 - 1e-9 for each in lines) <= 4 for at in lines)
    finally:
        quota._MOST_KINDS = before


def test_the_first_of_a_kind_is_told_and_the_next_ones_are_counted():
    """By example."""
    asked = Quota()
    assert [asked.ask("a", now) for now in (5.0, 5.5, 5.9, 6.0, 6.5, 7.5)] == [0, None, None, 2, None, 1]
    assert asked.ask("b", 7.5) == 0
    assert asked.ask("b", 7.6, must=True) == 0
    assert asked.ask("a", 7.7) is None
    assert asked.left() == {"a": 1}
    assert repr(asked) == "<Quota, 2 kinds>"


def test_of_more_kinds_than_can_be_remembered_nothing_is_a_first_one():
    """Memory is bounded, and so are tracebacks."""
    firsts = Firsts()
    assert [firsts.see(number) for number in range(150)] == [True] * 100 + [False] * 50
    assert not firsts.see(3)
    assert repr(firsts) == "<Firsts, 100 seen>"


# -- kinds of errors


def caught(function, *args):
    """Call what raises, and return the error."""
    try:
        function(*args)
    except BaseException as error:  # noqa: BLE001 - any
        return error
    raise AssertionError


def wrong(text):
    """Raise at one place or another."""
    if text == "first":
        raise KeyError(text)
    raise KeyError(text)


def test_errors_are_of_a_kind_by_class_and_place():
    """Not by their text: the same line that fails for each event fails in one way."""
    first, again, other = (caught(wrong, text) for text in ("first", "first", "other"))
    assert place_of(first) == place_of(again) != place_of(other)
    kind, file, line = place_of(first)
    assert (kind, file) == (KeyError, __file__)
    assert line == wrong.__code__.co_firstlineno + 3
    assert place_of(caught(json.loads, "{"))[1] != __file__
    assert place_of(ValueError("never raised")) == (ValueError, "", 0)


def test_what_this_library_raises_is_of_a_kind_by_who_has_called_it():
    """A line of ours says nothing: all that is wrong with requests comes from there."""
    first = caught(lambda: se.Event(1, platforms=7))
    other = caught(lambda: se.Event(1, platforms=8))
    assert place_of(first)[1] == place_of(other)[1] == __file__
    assert place_of(first) != place_of(other)


def test_of_a_group_the_first_one_counts_and_of_a_crash_what_was_raised():
    """However deep; and an error that says that it came from itself ends nothing."""
    inner = caught(wrong, "first")
    group = caught(raising, ExceptionGroup("g", [ExceptionGroup("h", [inner, ValueError()]), TypeError()]))
    assert place_of(group) == place_of(inner)
    crash = se.ScraperCrashed("crashed")
    crash.__cause__ = inner
    assert place_of(crash) == place_of(inner)
    circle = ValueError()
    circle.__cause__ = circle
    assert place_of(circle) == (ValueError, "", 0)


def raising(error):
    """Raise it."""
    raise error


def test_kinds_beyond_the_room_are_told_as_one(monkeypatch):
    """By example: two of them share what is left out."""
    monkeypatch.setattr(quota, "_MOST_KINDS", 1)
    asked = Quota()
    assert [asked.ask(kind, 5.0) for kind in "abc"] == [0, 0, None]
    assert asked.ask("d", 6.0) == 1

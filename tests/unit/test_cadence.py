"""When that which recurs is due again."""

from __future__ import annotations

import itertools
import json
import math
from random import Random
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrapeengine.decide.cadence import History, Polled, cadence_from_json, cadence_to_json, next_due
from scrapeengine.model.cadence import Cadence

SPANS = st.floats(1e-3, 1e7)


@st.composite
def cadences(draw: st.DrawFn) -> Cadence:
    """Make any cadence, those without room between minimum and maximum included."""
    minimum, maximum = sorted([draw(SPANS), draw(SPANS)])
    maximum = draw(st.sampled_from([minimum, maximum]))
    growth, shrink, jitter = draw(st.floats(1, 10)), draw(st.floats(0.01, 1)), draw(st.floats(0, 1))
    return Cadence(minimum, maximum, growth, shrink, jitter)


HISTORIES = st.builds(History, st.none() | SPANS, st.integers(0, 3) | st.integers(0, 10_000), st.none() | st.text())
POLLED = st.sampled_from(Polled)
DRAWS = st.floats(0, 1)
HINTS = st.floats(0, 1e8) | st.just(0.0)


def steady(cadence: Cadence, history: History, polled: Polled, **options: Any) -> tuple[History, float]:
    """Decide without jitter."""
    return next_due(attrs.evolve(cadence, jitter=0), history, polled, draw=lambda: 0.0, **options)


@given(cadences(), HISTORIES, POLLED, HINTS, HINTS, DRAWS)
def test_the_wait_has_its_bounds(
    cadence: Cadence, history: History, polled: Polled, hint: float, asked: float, draw: float
) -> None:
    """At least the minimum, at most the maximum; what is asked for is never shortened, nor exceeded."""
    _, wait = next_due(cadence, history, polled, hint=hint, asked=asked, draw=lambda: draw)
    assert wait >= cadence.min_interval
    assert wait >= asked
    assert wait >= min(hint, cadence.max_interval)
    assert wait <= max(cadence.max_interval, asked)


@given(cadences(), st.lists(st.tuples(POLLED, HINTS, HINTS), max_size=30), HISTORIES)
def test_the_interval_stays_within_the_cadence(
    cadence: Cadence, polls: list[tuple[Polled, float, float]], history: History
) -> None:
    """Whatever comes, and whatever another cadence has left."""
    for polled, hint, asked in polls:
        history, _ = steady(cadence, history, polled, hint=hint, asked=asked)
        if polled is not Polled.FAILED:
            assert history.interval is not None
            assert cadence.min_interval <= history.interval <= cadence.max_interval
            assert history.failures == 0


@given(cadences(), POLLED, DRAWS)
def test_the_first_interval_is_the_minimum(cadence: Cadence, polled: Polled, draw: float) -> None:
    """Whatever came of the first look; after a failure it is still to come."""
    history, wait = next_due(cadence, History(), polled, draw=lambda: draw)
    failed = polled is Polled.FAILED
    assert history.interval == (None if failed else cadence.min_interval)
    plain = min(cadence.min_interval * 2, cadence.max_interval) if failed else cadence.min_interval
    put_off = min(plain * (1 + cadence.jitter * draw), cadence.max_interval)
    assert cadence.min_interval <= wait <= put_off
    if not failed or plain * (1 + cadence.jitter) <= cadence.max_interval:
        assert wait == pytest.approx(put_off)


def test_no_interval_of_a_long_run_exceeds_the_maximum() -> None:
    """What never changes is looked at about each hour, at another time each; what is hinted at is waited for."""
    cadence, history, waits = Cadence(max_interval=3600), History(), []
    random = Random(7)
    for _ in range(100):
        history, wait = next_due(cadence, history, Polled.UNCHANGED, draw=random.random)
        waits.append(wait)
    assert max(waits) <= 3600
    settled = waits[20:]
    assert min(settled) >= 3600 / 1.1
    assert len(set(settled)) == len(settled)
    assert next_due(cadence, history, Polled.UNCHANGED, hint=3590, draw=lambda: 0.0)[1] == 3590


@given(cadences(), HISTORIES, HINTS)
def test_sooner_after_a_change_and_later_after_none(cadence: Cadence, history: History, hint: float) -> None:
    """And a failure is never looked at again sooner than what has not failed and kept its interval."""
    interval = min(max(history.interval or cadence.min_interval, cadence.min_interval), cadence.max_interval)
    (changed, soon), (unchanged, late) = (
        steady(cadence, history, polled, hint=hint) for polled in (Polled.CHANGED, Polled.UNCHANGED)
    )
    assert changed.interval is not None
    assert unchanged.interval is not None
    assert changed.interval <= interval <= unchanged.interval
    assert soon <= late
    assert steady(cadence, history, Polled.FAILED, hint=hint)[1] >= min(max(interval, hint), cadence.max_interval)


@given(cadences(), HISTORIES, st.integers(1, 100))
def test_failures_widen_up_to_the_maximum(cadence: Cadence, history: History, times: int) -> None:
    """Each doubles the wait and leaves the interval; one that does not fail has it as if none had."""
    waits, failed = [], history
    for _ in range(times):
        failed, wait = steady(cadence, failed, Polled.FAILED)
        waits.append(wait)
    assert failed.interval == history.interval
    assert failed.failures == history.failures + times
    for wait, wider in itertools.pairwise(waits):
        assert wider == pytest.approx(min(wait * 2, cadence.max_interval))
    fresh = attrs.evolve(history, failures=0)
    for polled in (Polled.CHANGED, Polled.UNCHANGED):
        assert steady(cadence, failed, polled) == steady(cadence, fresh, polled)


def test_it_shrinks_grows_and_widens_by_what_was_said() -> None:
    """The figures, once."""
    cadence, history = Cadence(100, 1000, growth=1.5, shrink=0.5, jitter=0.1), History(400.0)
    assert steady(cadence, history, Polled.CHANGED) == (History(200.0, floor=100), 200.0)
    assert steady(cadence, history, Polled.UNCHANGED) == (History(600.0, floor=100), 600.0)
    assert steady(cadence, history, Polled.FAILED) == (History(400.0, 1, floor=100), 800.0)
    assert next_due(cadence, history, Polled.CHANGED, draw=lambda: 1.0)[1] == pytest.approx(220)


@pytest.mark.parametrize("polled", Polled)
def test_a_lower_minimum_takes_effect_at_once(polled: Polled) -> None:
    """An interval that only the minimum of then has held up begins anew; one that has grown beyond it goes on."""
    before, lower, higher = Cadence(1000, 10_000), Cadence(50, 10_000), Cadence(2000, 10_000)
    held, _ = steady(before, History(), Polled.CHANGED)
    assert steady(lower, held, polled) == steady(lower, attrs.evolve(held, interval=None), polled)
    grown, _ = steady(before, attrs.evolve(held, interval=3000.0), Polled.UNCHANGED)
    assert steady(lower, grown, Polled.UNCHANGED)[1] == 6750
    for cadence in (before, higher):
        assert steady(cadence, held, polled) == steady(cadence, attrs.evolve(held, floor=None), polled)


@given(cadences(), HISTORIES, POLLED, st.tuples(HINTS, HINTS), st.tuples(HINTS, HINTS), st.tuples(DRAWS, DRAWS))
def test_all_that_may_postpone_only_postpones(
    cadence: Cadence,
    history: History,
    polled: Polled,
    hints: tuple[float, float],
    asks: tuple[float, float],
    draws: tuple[float, float],
) -> None:
    """The wait is monotone in hint, asked and jitter, and none of them changes what is remembered."""
    (hint, more_hint), (asked, more_asked), (draw, more_draw) = sorted(hints), sorted(asks), sorted(draws)
    then, wait = next_due(cadence, history, polled, hint=hint, asked=asked, draw=lambda: draw)
    same, more = next_due(cadence, history, polled, hint=more_hint, asked=more_asked, draw=lambda: more_draw)
    assert same == then
    assert more >= wait


@pytest.mark.parametrize("polled", Polled)
@pytest.mark.parametrize("given_one", [None, "new"])
def test_a_digest_is_kept_until_there_is_another_or_a_change(polled: Polled, given_one: str | None) -> None:
    """What was seen before a change tells nothing any more, even if what came then has none."""
    history, _ = steady(Cadence(), History(200.0, 1, "old"), polled, digest=given_one)
    assert history.digest == (given_one if given_one or polled is Polled.CHANGED else "old")


@given(HISTORIES)
def test_a_history_comes_back_as_it_was(history: History) -> None:
    """By way of JSON."""
    assert History.from_json(history.to_json()) == history


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
FIELDS = st.fixed_dictionaries({}, optional=dict.fromkeys(("interval", "failures", "digest", "more"), JSON))


@given(st.text() | (JSON | FIELDS).map(json.dumps) | st.just("[" * 100_000))
def test_any_text_gives_a_history(text: str) -> None:
    """One that can be used, or a new one."""
    history = History.from_json(text)
    assert history.interval is None or 0 < history.interval < math.inf
    assert History.from_json(history.to_json()) == history
    _, wait = steady(Cadence(), history, Polled.FAILED)
    assert 180 <= wait <= 86_400


@pytest.mark.parametrize(
    "text", [None, "", "{", "null", "[1]", '{"interval": 0}', '{"interval": 9, "failures": -1}', '{"digest": 7}']
)
def test_garbage_gives_a_new_history(text: str | None) -> None:
    """So what recurs goes on, with a look too many."""
    assert History.from_json(text) == History()


def test_what_a_later_version_adds_to_a_history_is_ignored() -> None:
    """Two versions may work on one store."""
    assert History.from_json('{"interval": 9.0, "mood": "good"}') == History(9.0)


@given(cadences())
def test_a_cadence_comes_back_as_it_was(cadence: Cadence) -> None:
    """By way of JSON."""
    assert cadence_from_json(cadence_to_json(cadence)) == cadence


def test_a_cadence_takes_its_defaults_and_ignores_what_is_more() -> None:
    """Two versions may work on one store."""
    assert cadence_from_json('{"minimum": 60, "maximum": 90, "mood": "good"}') == Cadence(60, 90)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"minimum": 0}', '{"growth": "fast"}', "[" * 100_000])
def test_what_is_no_cadence_is_refused(text: str) -> None:
    """The message quotes it, not at length, and says what to write."""
    with pytest.raises(ValueError, match=r"^no cadence: .*; write what `cadence_to_json` returns$") as caught:
        cadence_from_json(text)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"min_interval": 0},
            r"Cadence\(min_interval=…\) must be more than 0, got 0; it is the shortest interval, in seconds",
        ),
        (
            {"max_interval": math.inf},
            r"Cadence\(max_interval=…\) must be finite, .*; it is the longest interval, in seconds",
        ),
        ({"min_interval": 1e6}, r"Cadence\(max_interval=…\) must be at least its min_interval, .*; give both, in s"),
        ({"growth": 0.9}, r"Cadence\(growth=…\) must be at least 1, got 0.9; 1 leaves the interval as it is"),
        ({"growth": 0}, r"Cadence\(growth=…\) must be more than 0, got 0; 1 leaves the interval as it is"),
        ({"shrink": 1.1}, r"Cadence\(shrink=…\) must be at most 1, got 1.1; 1 leaves the interval as it is"),
        ({"shrink": 0}, r"Cadence\(shrink=…\) must be more than 0, got 0; 1 leaves the interval as it is"),
        ({"jitter": -0.1}, r"Cadence\(jitter=…\) must be at least 0, got -0.1; 0 is to have none"),
        ({"jitter": 10}, r"Cadence\(jitter=…\) must be at most 1, got 10; it is a part of the wait, and 0.1 is 10 %"),
    ],
)
def test_a_cadence_that_makes_no_sense_is_refused(fields: dict[str, float], message: str) -> None:
    """Each message says what to write instead."""
    with pytest.raises(ValueError, match=f"^{message}$"):
        Cadence(**fields)


@pytest.mark.parametrize("name", [field.name for field in attrs.fields(Cadence)])
def test_a_cadence_takes_numbers(name: str) -> None:
    """Nothing else, and the message names the field."""
    with pytest.raises(TypeError, match=rf"^Cadence\({name}=…\) must be a number, got 'often'; "):
        Cadence(**{name: "often"})

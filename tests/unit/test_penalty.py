"""How long a platform stays closed after it has refused requests."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrapeengine.decide.penalty import Penalty


def refuse(penalty: Penalty, at: float, *, sent: float | None = None, after: float | None = None) -> float:
    """Have a request refused that was sent at that time (or at `sent`); return for how long the platform is closed."""
    penalty.refused(sent=at if sent is None else sent, now=at, after=after)
    return penalty.until - at


def test_a_new_one_closes_nothing() -> None:
    """A platform that never refused anything is open, and has nothing to forget."""
    assert Penalty().until == -math.inf
    assert Penalty().forgotten_at() == -math.inf


@pytest.mark.parametrize("after", [0.5, 1.0, 120.0, 10**7])
def test_a_retry_after_is_obeyed_to_the_second(after: float) -> None:
    """The platform stays closed for exactly as long as it asks."""
    assert refuse(Penalty(), 100.0, after=after) == after


def test_without_a_retry_after_it_begins_with_two_seconds() -> None:
    """The first incident closes the platform for 2 s."""
    assert refuse(Penalty(), 100.0) == 2.0


def test_each_incident_doubles_the_one_before() -> None:
    """Refusals of requests that were sent after the platform had opened again count up, to 10 minutes."""
    penalty, now, closed = Penalty(), 0.0, []
    for _ in range(11):
        closed.append(refuse(penalty, now))
        now = penalty.until
    assert closed == [2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600]


def test_many_at_once_are_one_incident() -> None:
    """What was sent before the incident began belongs to it, also when its refusal comes while the platform is open."""
    penalty = Penalty()
    penalty.refused(sent=10.0, now=11.0, after=None)
    for sent, now in [(10.0, 11.0), (10.5, 11.5), (10.9, 12.9), (9.0, 13.5), (10.999, 30.0)]:
        penalty.refused(sent=sent, now=now, after=None)
        assert penalty.until == 13.0
    assert refuse(penalty, 31.0) == 4.0


def test_what_was_sent_as_the_incident_began_and_refused_while_closed_is_of_it() -> None:
    """A refusal while the platform is closed opens no incident, whenever the request was sent."""
    penalty = Penalty()
    refuse(penalty, 10.0)
    penalty.refused(sent=10.0, now=11.0, after=None)
    assert penalty.until == 12.0


def test_a_request_of_the_very_instant_in_which_it_opened_is_a_new_incident() -> None:
    """At `until` the platform is open, so that a refusal then counts up."""
    penalty = Penalty()
    refuse(penalty, 10.0)
    assert refuse(penalty, 12.0) == 4.0


def test_a_retry_after_is_never_shortened() -> None:
    """Neither a shorter one nor a refusal without one opens the platform sooner; a longer one closes it for longer."""
    penalty = Penalty()
    refuse(penalty, 0.0, after=100.0)
    refuse(penalty, 1.0, sent=0.0, after=5.0)
    refuse(penalty, 2.0, sent=0.0)
    refuse(penalty, 3.0)
    assert penalty.until == 100.0
    refuse(penalty, 4.0, sent=0.0, after=200.0)
    assert penalty.until == 204.0


def test_a_retry_after_counts_whenever_the_request_was_sent() -> None:
    """A late refusal of an old request is obeyed too if it says for how long, and begins no incident."""
    penalty = Penalty()
    refuse(penalty, 10.0)
    assert refuse(penalty, 20.0, sent=5.0, after=3.0) == 3.0
    assert refuse(penalty, 24.0, sent=19.0) == 4.0


def test_a_retry_after_of_nothing_closes_nothing() -> None:
    """A platform that asks for no wait gets none, and what is refused with it at once is the same incident."""
    penalty = Penalty()
    assert refuse(penalty, 10.0, after=0.0) == 0.0
    assert refuse(penalty, 10.5, sent=9.0) == -0.5
    assert refuse(penalty, 11.0) == 2.0


def test_what_is_sent_at_the_very_beginning_of_an_open_incident_is_none_of_it() -> None:
    """A `Retry-After` of nothing leaves the platform open, so that what is sent at that instant counts anew."""
    penalty = Penalty()
    refuse(penalty, 10.0, after=0.0)
    assert refuse(penalty, 10.5, sent=10.0) == 2.0
    other = Penalty()
    refuse(other, 10.0, after=0.0)
    refuse(other, 11.0, sent=10.0, after=0.0)
    assert refuse(other, 12.0, sent=10.5) == -1.0


def test_a_retry_after_begins_an_incident() -> None:
    """Requests on their way when a `Retry-After` came belong to it, after it has ended too; it does not count up."""
    penalty = Penalty()
    refuse(penalty, 10.0, after=5.0)
    refuse(penalty, 16.0, sent=9.0)
    assert penalty.until == 15.0
    assert refuse(penalty, 17.0) == 2.0


@pytest.mark.parametrize(("incidents", "pause"), [(1, 60.0), (5, 60.0), (6, 64.0), (12, 600.0)])
def test_the_count_begins_anew_after_a_quiet_time(incidents: int, pause: float) -> None:
    """After as much time as the last closure took, a minute at least, the next is 2 s again; not a moment before."""
    for early, closed in [(0.0, 2.0), (0.5, min(600.0, 2.0 * 2**incidents))]:
        penalty, now = Penalty(), 0.0
        for _ in range(incidents):
            refuse(penalty, now)
            now = penalty.until
        assert penalty.forgotten_at() == now + pause
        assert refuse(penalty, now + pause - early) == closed


def test_a_retry_after_is_forgotten_a_minute_after_its_end() -> None:
    """A gate may be dropped once no refusal in it can change what a new one would do."""
    penalty = Penalty()
    refuse(penalty, 0.0, after=1000.0)
    assert penalty.forgotten_at() == 1060.0


def test_shift_moves_everything() -> None:
    """On another clock, the platform opens at the same instant, and its incident is the same one."""
    penalty, other = Penalty(), Penalty()
    for one in (penalty, other):
        refuse(one, 0.0)
        refuse(one, 2.0)
    other.shift(1000.0)
    assert other.until == penalty.until + 1000.0
    assert other.forgotten_at() == penalty.forgotten_at() + 1000.0
    for sent, now in [(1.9, 7.0), (6.5, 8.0), (20.0, 21.0)]:
        penalty.refused(sent=sent, now=now, after=None)
        other.refused(sent=sent + 1000.0, now=now + 1000.0, after=None)
        assert other.until == penalty.until + 1000.0


REFUSALS = st.lists(st.tuples(st.floats(0, 300), st.floats(0, 300), st.none() | st.floats(0, 1000)), max_size=30)


@given(REFUSALS)
def test_it_is_never_shortened(refusals: list[tuple[float, float, float | None]]) -> None:
    """Whatever comes in whatever order, no refusal opens a platform sooner, and each `Retry-After` is waited out."""
    penalty, now = Penalty(), 0.0
    for gap, age, after in refusals:
        now += gap
        before = penalty.until
        penalty.refused(sent=now - age, now=now, after=after)
        assert penalty.until >= before
        assert penalty.until >= now + (-math.inf if after is None else after)
        if after is None:
            assert penalty.until in (before, *(now + min(600.0, 2.0**n) for n in range(1, 11)))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.floats(0, 1000))
def test_refusals_of_requests_on_their_way_change_nothing(ages: list[float], late: float) -> None:
    """However many there are, and however late they come, the incident they belong to stays as it is."""
    penalty = Penalty()
    refuse(penalty, 10.0)
    for age in ages:
        penalty.refused(sent=10.0 - 1e-6 - age, now=10.0 + late, after=None)
    assert penalty.until == 12.0


def test_a_count_that_was_forgotten_stays_forgotten() -> None:
    """Long after the last incident, the next one without a `Retry-After` is 2 s, also if one with it came before."""
    penalty, now = Penalty(), 0.0
    for _ in range(5):
        refuse(penalty, now)
        now = penalty.until
    refuse(penalty, 10_000.0, after=1.0)
    assert refuse(penalty, 10_001.0) == 2.0

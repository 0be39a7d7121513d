"""Whether a request is made again, and how long after."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrapeengine.decide.retry import Again, GiveUp, backoff, next_step
from scrapeengine.errors import AttemptTimeout, InvalidRequest, TransportError
from scrapeengine.model.policy import Retry

POLICY = Retry(attempts=3, initial_wait=1.0, max_wait=5.0)


def whole() -> float:
    """Draw the largest number."""
    return 1.0


@pytest.mark.parametrize(("attempt", "longest"), [(1, 1.0), (2, 2.0), (3, 4.0), (4, 5.0), (5, 5.0)])
def test_the_longest_wait_doubles_up_to_the_most(attempt: int, longest: float) -> None:
    """Each attempt that fails doubles the longest wait, up to `max_wait`."""
    assert backoff(POLICY, attempt, whole) == longest


def test_the_wait_is_drawn_evenly_from_nothing_on() -> None:
    """The draw scales the longest wait: full jitter."""
    assert backoff(POLICY, 3, lambda: 0.0) == 0
    assert backoff(POLICY, 3, lambda: 0.25) == 1.0


def test_many_attempts_do_not_overflow() -> None:
    """An attempt number beyond the range of a float's exponent waits as long as `max_wait` says."""
    assert backoff(POLICY, 10**9, whole) == 5.0
    assert backoff(Retry(initial_wait=1e300, max_wait=1e308), 10**9, whole) == 1e308
    assert backoff(Retry(initial_wait=0), 10**9, whole) == 0


@given(
    initial=st.floats(0, 1e9),
    most=st.floats(0, 1e9),
    attempt=st.integers(1, 10**6),
    drawn=st.floats(0, 1),
)
def test_no_wait_is_longer_than_the_policy_says(initial: float, most: float, attempt: int, drawn: float) -> None:
    """The wait is between nothing and the formula of the policy's docstring, computed without overflow."""
    wait = backoff(Retry(initial_wait=initial, max_wait=most), attempt, lambda: drawn)
    assert 0 <= wait <= most
    if attempt <= 60:
        assert wait <= initial * 2 ** (attempt - 1)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_status_that_may_pass_is_tried_again(status: int) -> None:
    """The policy's statuses lead to another attempt, after the backoff."""
    step = next_step(POLICY, attempt=2, method="GET", failed=status, draw=whole)
    assert step == Again(2.0)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 501])
def test_another_status_stands(status: int) -> None:
    """What the policy does not name is no reason to ask again."""
    assert next_step(POLICY, attempt=1, method="GET", failed=status, draw=whole) == GiveUp()


def test_errors_are_tried_again_by_their_classes() -> None:
    """The policy's errors and their subclasses lead to another attempt; any other error stands."""
    for error in (TransportError("x"), AttemptTimeout("x")):
        assert next_step(POLICY, attempt=1, method="GET", failed=error, draw=whole) == Again(1.0)
    for other in (InvalidRequest("x"), ValueError("x")):
        assert next_step(POLICY, attempt=1, method="GET", failed=other, draw=whole) == GiveUp()
    wide = attrs.evolve(POLICY, errors=(ValueError,))
    assert next_step(wide, attempt=1, method="GET", failed=UnicodeError("x"), draw=whole) == Again(1.0)
    assert next_step(wide, attempt=1, method="GET", failed=TransportError("x"), draw=whole) == GiveUp()


def test_the_last_attempt_is_the_last() -> None:
    """As many attempts as the policy allows are made, and no more."""
    steps = [next_step(POLICY, attempt=n, method="GET", failed=503, draw=whole) for n in (1, 2, 3, 4)]
    assert steps == [Again(1.0), Again(2.0), GiveUp(), GiveUp()]
    once = attrs.evolve(POLICY, attempts=1)
    assert next_step(once, attempt=1, method="GET", failed=503, draw=whole) == GiveUp()


def test_only_the_methods_of_the_policy_are_tried_again() -> None:
    """A POST is made once, unless the policy says that it may be repeated."""
    for failed in (503, TransportError("x")):
        assert next_step(POLICY, attempt=1, method="POST", failed=failed, draw=whole) == GiveUp()
    asked = attrs.evolve(POLICY, methods={"POST"})
    assert next_step(asked, attempt=1, method="POST", failed=503, draw=whole) == Again(1.0)
    assert next_step(asked, attempt=1, method="GET", failed=503, draw=whole) == GiveUp()


def test_nothing_is_drawn_for_what_stands() -> None:
    """A failure that stands uses no randomness."""

    def forbidden() -> float:
        raise AssertionError

    assert next_step(POLICY, attempt=1, method="GET", failed=404, draw=forbidden) == GiveUp()
    assert next_step(POLICY, attempt=3, method="GET", failed=503, draw=forbidden) == GiveUp()


def test_steps_are_frozen() -> None:
    """A decision does not change."""
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        Again(1.0).after = 2.0  # type: ignore[misc]
    assert Again(1.0) != Again(2.0)

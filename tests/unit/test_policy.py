"""The policies: their defaults, what they refuse, and what they say to write instead."""

from __future__ import annotations

import math
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrapeengine.errors import AttemptTimeout, StatusError, TransportError
from scrapeengine.model.policy import Rate, Retry, Timeout


def test_a_rate_is_so_many_a_second_one_by_one() -> None:
    """Two a second, unless said otherwise, come one by one."""
    rate = Rate(2)
    assert (rate.count, rate.per, rate.burst) == (2, 1.0, 1)
    assert rate.interval == 0.5


@given(st.floats(0.001, 1000), st.floats(0.001, 1000))
def test_the_interval_is_the_period_by_the_count(count: float, per: float) -> None:
    """So many intervals make the period."""
    assert Rate(count, per=per).interval * count == pytest.approx(per)


@given(st.floats(1e-6, 1e6))
def test_every_is_one_in_so_many_seconds(seconds: float) -> None:
    """`Rate.every` is the rate with that interval, and no burst."""
    assert Rate.every(seconds) == Rate(1, per=seconds, burst=1)
    assert Rate.every(seconds).interval == seconds


@pytest.mark.parametrize("count", [0, -1, math.inf, math.nan])
def test_a_count_that_is_no_rate_is_refused(count: float) -> None:
    """No count of requests stops a platform; the message says what does."""
    with pytest.raises(ValueError, match=r"^Rate\(count=…\) must be .*; to stop a platform, give it limit=0$"):
        Rate(count)


@pytest.mark.parametrize("per", [0, -1, math.inf, math.nan])
def test_a_period_that_is_none_is_refused(per: float) -> None:
    """A period is a positive and finite number of seconds, and the message says that it is seconds."""
    with pytest.raises(ValueError, match=r"^Rate\(per=…\) must be .*; it is the period, in seconds$"):
        Rate(1, per=per)
    with pytest.raises(ValueError, match="it is the period, in seconds"):
        Rate.every(per)


@pytest.mark.parametrize("burst", [0, -1])
def test_a_burst_of_none_is_refused(burst: int) -> None:
    """Without a burst of one nothing could ever start; the message says what slows a platform down."""
    with pytest.raises(ValueError, match=r"^Rate\(burst=…\) must be at least 1, got .*; to slow .*, lower its count$"):
        Rate(1, burst=burst)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [({"count": "2"}, "count"), ({"count": True}, "count"), ({"count": 1, "per": None}, "per")],
)
def test_a_rate_of_another_type_is_refused(arguments: dict[str, Any], name: str) -> None:
    """Rates are numbers."""
    with pytest.raises(TypeError, match=rf"^Rate\({name}=…\) must be a number"):
        Rate(**arguments)
    with pytest.raises(TypeError, match=r"^Rate\(burst=…\) must be a whole number, got 1\.5; to slow"):
        Rate(1, burst=1.5)  # type: ignore[arg-type]


def test_timeouts_are_generous_by_default() -> None:
    """Half a minute for a request, five for a task."""
    assert (Timeout().attempt, Timeout().task) == (30.0, 300.0)


@pytest.mark.parametrize("field", ["attempt", "task"])
def test_a_timeout_may_be_for_ever(field: str) -> None:
    """`math.inf` is a timeout, and so is any positive number."""
    for seconds in (math.inf, 0.001, 1):
        assert getattr(Timeout(**{field: seconds}), field) == seconds


@pytest.mark.parametrize("field", ["attempt", "task"])
@pytest.mark.parametrize("seconds", [0, -1, math.nan, -math.inf])
def test_a_timeout_of_nothing_is_refused(field: str, seconds: float) -> None:
    """Zero is no way to say for ever; the message says which is."""
    with pytest.raises(ValueError, match=rf"^Timeout\({field}=…\) must be more than 0.*; for ever is math\.inf$"):
        Timeout(**{field: seconds})


@pytest.mark.parametrize("field", ["attempt", "task"])
def test_a_timeout_of_another_type_is_refused(field: str) -> None:
    """None is no timeout; the message says what is for ever."""
    arguments: dict[str, Any] = {field: None}
    with pytest.raises(TypeError, match=rf"^Timeout\({field}=…\) must be a number, got None; for ever is math\.inf$"):
        Timeout(**arguments)


def test_a_retry_by_default() -> None:
    """Three attempts, of what is idempotent, after what may pass."""
    retry = Retry()
    assert (retry.attempts, retry.initial_wait, retry.max_wait, retry.patience) == (3, 0.5, 30.0, 300.0)
    assert retry.statuses == {408, 429, 500, 502, 503, 504}
    assert retry.methods == {"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"}
    assert retry.errors == (TransportError,)


def test_a_retry_at_its_edges() -> None:
    """One attempt, no waits, endless patience, no statuses, methods and errors: all can be asked for."""
    retry = Retry(attempts=1, initial_wait=0, max_wait=0, patience=math.inf, statuses=(), methods=(), errors=())  # type: ignore[arg-type]
    assert (retry.statuses, retry.methods, retry.errors) == (frozenset(), frozenset(), ())
    assert Retry(patience=0).patience == 0
    assert [Retry(budget=share).budget for share in (0, 0.5, 3, math.inf)] == [0, 0.5, 3, math.inf]
    assert Retry().budget == 0.2
    assert Retry(statuses={400, 599}).statuses == {400, 599}  # type: ignore[arg-type]


def test_a_retry_takes_any_collection() -> None:
    """Lists and sets become what cannot be changed."""
    retry = Retry(statuses=[429], methods={"POST", "M-SEARCH"}, errors=[AttemptTimeout, StatusError])  # type: ignore[arg-type]
    assert retry.statuses == frozenset({429})
    assert retry.methods == frozenset({"POST", "M-SEARCH"})
    assert retry.errors == (AttemptTimeout, StatusError)
    assert hash(retry) == hash(attrs.evolve(retry))


def test_no_attempt_at_all_is_refused() -> None:
    """The message says how many attempts are no retry."""
    with pytest.raises(ValueError, match=r"^Retry\(attempts=…\) must be at least 1, got 0; 1 is to try once, with no"):
        Retry(attempts=0)
    with pytest.raises(TypeError, match=r"^Retry\(attempts=…\) must be a whole number"):
        Retry(attempts=2.0)  # type: ignore[arg-type]


@pytest.mark.parametrize("field", ["initial_wait", "max_wait", "patience"])
def test_waits_are_numbers_of_at_least_zero(field: str) -> None:
    """A negative wait is none, nor is a text."""
    for wrong in (-1, math.nan):
        with pytest.raises(ValueError, match=rf"^Retry\({field}=…\) must be at least 0"):
            Retry(**{field: wrong})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=rf"^Retry\({field}=…\) must be a number"):
        Retry(**{field: "1"})  # type: ignore[arg-type]


@pytest.mark.parametrize("field", ["initial_wait", "max_wait"])
def test_a_backoff_ends(field: str) -> None:
    """Only patience may be endless; a wait of infinity times a draw of zero would be no number."""
    with pytest.raises(ValueError, match=rf"^Retry\({field}=…\) must be finite"):
        Retry(**{field: math.inf})  # type: ignore[arg-type]


@pytest.mark.parametrize("status", [399, 600, 200, True, 500.0, "500", None])
def test_a_status_that_is_no_failure_is_refused(status: Any) -> None:
    """Only 4xx and 5xx are tried again; the message says the range."""
    with pytest.raises(ValueError, match=r"^Retry\(statuses=…\) takes HTTP statuses from 400 to 599, got "):
        Retry(statuses=[503, status])  # type: ignore[arg-type]


@pytest.mark.parametrize("method", ["get", "Post", "", 1, None])
def test_a_method_in_small_letters_is_refused(method: Any) -> None:
    """HTTP methods are in capitals, and the message shows one."""
    with pytest.raises(ValueError, match=r"^Retry\(methods=…\) takes HTTP methods in capitals, such as 'POST', got "):
        Retry(methods=["GET", method])  # type: ignore[arg-type]


@pytest.mark.parametrize("error", [ValueError("x"), int, KeyboardInterrupt, BaseException, "ValueError", None])
def test_what_is_no_exception_class_is_refused(error: Any) -> None:
    """Errors are named by their classes, and those that end the program are never retried."""
    with pytest.raises(TypeError, match=r"^Retry\(errors=…\) takes exception classes, got "):
        Retry(errors=[ValueError, error])  # type: ignore[arg-type]


@pytest.mark.parametrize("policy", [Rate(1), Timeout(), Retry()])
def test_policies_are_frozen_values(policy: Any) -> None:
    """No field can be set, and equal fields make equal policies that hash alike."""
    for field in attrs.fields(type(policy)):
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(policy, field.name, getattr(policy, field.name))
    assert policy == attrs.evolve(policy)
    assert hash(policy) == hash(attrs.evolve(policy))


def test_one_method_alone_is_refused() -> None:
    """A text in place of a collection is a mistake that would switch off every retry."""
    with pytest.raises((TypeError, ValueError), match=r"^Retry\(methods=…\)"):
        Retry(methods="POST")  # type: ignore[arg-type]


@pytest.mark.parametrize("arguments", [{"statuses": 503}, {"methods": None}, {"errors": ValueError}])
def test_what_is_no_collection_is_refused_by_its_name(arguments: dict[str, Any]) -> None:
    """One status, one error or None in place of a collection is refused with the field's name."""
    with pytest.raises(TypeError, match=r"^Retry\("):
        Retry(**arguments)


@pytest.mark.parametrize(("count", "per"), [(5e-324, 1.0), (1e300, 1e-300)])
def test_the_interval_is_a_number_above_zero(count: float, per: float) -> None:
    """A rate whose interval overflows or vanishes is refused: it would mean no rate at all, or fail when it changes."""
    try:
        rate = Rate(count, per=per)
    except ValueError:
        return
    assert 0 < rate.interval < math.inf


def test_a_number_beyond_all_bounds_is_refused() -> None:
    """An int that no float can hold is a wrong value as any other."""
    with pytest.raises(ValueError, match=r"^Rate\(count=…\)"):
        Rate(10**400)


@pytest.mark.parametrize(
    ("wrong", "error"), [(-0.1, ValueError), (math.nan, ValueError), (True, TypeError), ("20 %", TypeError)]
)
def test_a_retry_budget_that_is_no_share_is_refused(wrong: Any, error: type[Exception]) -> None:
    """The message says what it is, and what stands for none and for any number."""
    with pytest.raises(error, match=r"^Retry\(budget=…\) must be .*0 is no retry, math\.inf any number$"):
        Retry(budget=wrong)

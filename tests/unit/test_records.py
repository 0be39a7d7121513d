"""Events and outcomes as a store keeps them: what goes in comes out, or is refused with a word on what to do."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrapeengine.decide.records import (
    NotJson,
    context_of,
    digest_of,
    error_text,
    event_of,
    items_of,
    kept_of,
    outcome_of,
    outcome_text,
    payload_of,
    status_of,
    value_of,
)
from scrapeengine.errors import RecordedError, UnknownPlatform
from scrapeengine.model.event import Event
from scrapeengine.model.job import JobStatus
from scrapeengine.model.outcome import Cancelled, Failure, Outcome, Skipped, Success

texts = st.text(st.characters(exclude_categories=()), max_size=20)
"""Surrogates too: a site's bytes may have become such."""
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=10,
)
values = json_values | st.binary(max_size=50)
events = st.builds(
    Event,
    texts.filter(bool),
    url=st.none() | st.just("http://a.test/?token=x"),
    platforms=st.lists(texts, unique=True, max_size=3).map(tuple),
    data=values,
    priority=st.integers(-(2**63), 2**63 - 1),
)


@given(events)
def test_an_event_comes_back_as_it_was(event: Event) -> None:
    """Its URL, its platforms, its data, and what says how urgent it is."""
    assert event_of(event.id, event.priority, payload_of(event)) == event


@given(events, st.dictionaries(texts, texts, max_size=3))
def test_what_comes_with_an_event_is_none_of_its_own(event: Event, context: dict[str, str]) -> None:
    """It comes back as it was, and the event does not know of it. Without any the payload is as it ever was."""
    payload = payload_of(event, context)
    assert event_of(event.id, event.priority, payload) == event
    assert context_of(payload) == context
    assert payload_of(event, {}) == payload_of(event)
    assert context_of(payload_of(event)) == {}


@pytest.mark.parametrize("payload", ['{"context":[1]}', '{"context":{"a":1}}', '{"context":null}', "{}"])
def test_what_no_program_of_ours_has_written_is_no_context(payload: str) -> None:
    """It is left out."""
    assert context_of(payload) == {}


def test_an_event_that_is_its_url() -> None:
    """The URL is kept once."""
    event = Event(url="http://a.test/feed")
    payload = payload_of(event)
    assert "a.test" not in payload
    assert event_of(event.id, 0, payload) == event


@given(values)
def test_contents(value: Any) -> None:
    """Bytes stay bytes, all else becomes JSON; what is equal has one digest."""
    content, read = kept_of(value)
    assert isinstance(content, bytes if isinstance(value, bytes) else str)
    assert read == value_of(content)
    assert digest_of(content) == digest_of(kept_of(value)[0])
    assert len(digest_of(content)) == 32


def test_a_character_in_two_halves_is_read_as_one() -> None:
    """What goes out is what would be read again, also where JSON has made one character of two."""
    assert kept_of("\ud83d\ude00")[1] == "\U0001f600"


def test_digests_differ() -> None:
    """What differs has another digest."""
    assert len({digest_of(content) for content in ("1", "2", b"1x", "null", "")}) == 5


nested: list[Any] = []
for _ in range(100_000):
    nested = [nested]


@pytest.mark.parametrize("value", [object(), {1, 2}, {"a": b"x"}, math.nan, math.inf, {("a", "b"): 1}, nested])
def test_what_cannot_be_stored(value: Any) -> None:
    """It is refused with what can be, in results and in data."""
    with pytest.raises(NotJson, match="a store takes bytes, and what JSON has"):
        kept_of(value)
    with pytest.raises(TypeError, match=r"the data of Event\('x'\) cannot be stored"):
        payload_of(Event("x", data=value))


ring: list[Any] = []
ring.append(ring)


def loud(value: object) -> object:
    """Fail."""
    raise ZeroDivisionError(type(value))


class Rude(dict[str, int]):
    """A dict that JSON would have, were it not for itself."""

    def items(self) -> Any:
        """Fail."""
        raise LookupError("no items")


@pytest.mark.parametrize(
    ("value", "encode", "says"),
    [
        (1j, None, "give the engine encode="),
        ({1, 2}, None, "give the engine encode="),
        (math.nan, None, "None for NaN"),
        ([1, {"a": math.inf}], str, "None for NaN"),
        (ring, str, "nothing that holds itself"),
        (nested, str, "a thousand deep"),
        ([10**5000], None, "thousands of digits"),
        ({(1, 2): 3}, str, "a key that is none"),
        (Rude(a=1), None, "return bytes or what JSON has"),
        (1j, loud, "mend the engine's encode="),
        (1j, lambda value: value, "mend the engine's encode="),
        (1j, lambda value: {value}, "mend the engine's encode="),
        (1j, lambda _: math.nan, "mend the engine's encode="),
        ([1j, math.nan], str, "None for NaN"),
    ],
)
def test_what_to_write_instead(value: Any, encode: Any, says: str) -> None:
    """Where `encode` is at fault that is named; where it is never asked, the value is."""
    with pytest.raises(NotJson) as caught:
        kept_of(value, encode)
    assert says in caught.value.instead
    assert ("encode=… has made" in str(caught.value)) == says.startswith("mend")


@given(events, values, st.floats(0, 1e6), st.integers(0, 9))
def test_outcomes_come_back(event: Event, value: Any, seconds: float, attempts: int) -> None:
    """All that they say, but for an error's class: its name and its text."""
    said: dict[str, Any] = {"event": event, "platform": "A", "attempts": attempts, "queued": seconds, "ran": 1.0}
    outcomes: list[Outcome[Any]] = [
        Success(value=value, **said),
        Skipped(reason="nothing there", **said),
        Failure(error=UnknownPlatform("no such"), **said),
    ]
    for outcome in outcomes:
        result = kept_of(outcome.value)[0] if isinstance(outcome, Success) else None
        back = outcome_of("A", event.id, outcome_text(outcome, payload_of(event), result))
        assert (type(back), back.event, back.platform) == (type(outcome), event, "A")
        assert (back.attempts, back.queued, back.parked, back.ran) == (attempts, seconds, 0.0, 1.0)
        match back:
            case Success():
                assert back.value == value
            case Skipped():
                assert back.reason == "nothing there"
            case Failure():
                assert isinstance(back.error, RecordedError)
                assert (back.error.kind, str(back.error)) == ("UnknownPlatform", "no such")
                assert repr(back.error) == "RecordedError('UnknownPlatform', 'no such')"
                assert error_text(back.error) == "UnknownPlatform: no such"  # as before it was kept
                once_more = outcome_of("A", event.id, outcome_text(back, payload_of(event), None))
                assert isinstance(once_more, Failure)
                assert repr(once_more.error) == repr(back.error)


def test_states() -> None:
    """Each end has its state; what was cancelled has none that a store would be told."""
    event = Event("x")
    assert status_of(Success(event=event, platform="A", value=1)) is JobStatus.DONE
    assert status_of(Skipped(event=event, platform="A", reason="")) is JobStatus.SKIPPED
    assert status_of(Failure(event=event, platform="A", error=ValueError())) is JobStatus.FAILED
    cancelled = Cancelled(event=event, platform="A", reason="stopped")
    assert status_of(cancelled) is JobStatus.FAILED
    assert '"reason":"stopped"' in outcome_text(cancelled, payload_of(event), None)


class Unspeakable(Exception):
    """An error whose text cannot be made."""

    def __init__(self, why: BaseException) -> None:
        super().__init__()
        self.why = why

    def __str__(self) -> str:
        """Fail."""
        raise self.why


def test_errors_in_words() -> None:
    """The class and the text, without a traceback; what cannot be written down is written as it can be."""
    assert error_text(ValueError("no odds")) == "ValueError: no odds"
    assert error_text(ValueError("half \udc80")) == "ValueError: half \\udc80"


@pytest.mark.parametrize("why", [RuntimeError(), BaseException("a panic")])
def test_an_error_that_cannot_say_what_it_is(why: BaseException) -> None:
    """It is an error all the same, whatever its text raises."""
    assert error_text(Unspeakable(why)) == "Unspeakable: (its text could not be made)"


@pytest.mark.parametrize("why", [KeyboardInterrupt(), SystemExit(2), GeneratorExit()])
def test_what_ends_the_program_ends_it_there_too(why: BaseException) -> None:
    """A signal may come at any instant, and is not the text's."""
    with pytest.raises(type(why)):
        error_text(Unspeakable(why))


def test_items_are_kept_as_json_has_them() -> None:
    """With the outcome; what JSON has not is refused, with what to write."""
    items = items_of([(1, 2), {"a": None}])
    assert items == ([1, 2], {"a": None})
    outcome: Outcome[Any] = Success(event=Event(1), platform="p", value=None, items=items)
    again = outcome_of("p", "1", outcome_text(outcome, "{}", "null"))
    assert again.items == items
    with pytest.raises(NotJson, match="cannot be stored"):
        items_of([object()])


def test_what_was_cancelled_is_read_again_as_that() -> None:
    """A store keeps none, but a file of what a sink has refused does."""
    outcome: Outcome[Any] = Cancelled(event=Event(1), platform="p", reason="stopped")
    again = outcome_of("p", "1", outcome_text(outcome, "{}", None))
    assert isinstance(again, Cancelled)
    assert again.reason == "stopped"

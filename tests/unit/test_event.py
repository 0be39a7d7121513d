"""Events: what they take, what they refuse, and what they show of themselves."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrapeengine.model.event import Event
from scrapeengine.model.urls import shown

SECRET = "https://anna:hunter2@example.com:81/p/a?token=t0ps3cret&page=2#fr4gment"
SHOWN = "https://example.com:81/p/a?token=…&page=…"


def test_the_fields_are_what_was_given() -> None:
    """Each argument lands in the field of its name."""
    data = {"a": 1}
    event = Event("m1", url="https://x.org/", platforms=["a", "b"], data=data, priority=3)
    assert (event.id, event.url, event.platforms, event.priority) == ("m1", "https://x.org/", ("a", "b"), 3)
    assert event.data is data


def test_the_defaults() -> None:
    """An id is enough: no URL, no platforms, no data, priority 0."""
    event = Event("m1")
    assert (event.url, event.platforms, event.data, event.priority) == (None, (), None, 0)


def test_the_id_defaults_to_the_url() -> None:
    """An event without an id is told from others by its URL."""
    assert Event(url="https://x.org/?a=1").id == "https://x.org/?a=1"


@given(st.integers())
def test_an_int_is_taken_as_its_digits(number: int) -> None:
    """An int makes the same id as the text of its digits; 0 is one too."""
    event = Event(number)
    assert event.id == str(number)
    assert event == Event(str(number))


def test_the_id_wins_over_the_url() -> None:
    """With both, the id is the id."""
    assert Event(0, url="https://x.org/").id == "0"


@pytest.mark.parametrize("arguments", [{}, {"id": ""}, {"url": ""}, {"id": None, "url": None}])
def test_it_needs_an_id_or_a_url(arguments: dict[str, Any]) -> None:
    """Without either it is refused, and the message shows both ways to write one."""
    with pytest.raises(ValueError, match=r"write Event\('match-17'\) or Event\(url='https://…'\)"):
        Event(**arguments)


@pytest.mark.parametrize("wrong", [True, False, 1.5, b"m1", ["m1"], ("m1",)])
def test_an_id_of_another_type_is_refused(wrong: Any) -> None:
    """An id is a str or an int, and a bool is neither."""
    with pytest.raises(TypeError, match=r"^Event\(id=…\) must be a str or an int, got "):
        Event(wrong)


@pytest.mark.parametrize("wrong", [b"https://x.org/", 1, True])
@pytest.mark.parametrize("id", [None, "m1"])
def test_a_url_of_another_type_is_refused(id: str | None, wrong: Any) -> None:
    """A URL is a str, also beside an id."""
    with pytest.raises(TypeError, match=r"^Event\(url=…\) must be a str, got "):
        Event(id, url=wrong)


@pytest.mark.parametrize("wrong", ["bet9ja", {"a": 1}, {"a"}, [1], ["a", None], 5])
def test_platforms_of_another_type_are_refused(wrong: Any) -> None:
    """One name alone, a set, or a list of other things is refused, and the message shows the tuple to write."""
    with pytest.raises(TypeError, match=r"^Event\(platforms=…\) must be a tuple of names.*platforms=\('bet9ja',\)$"):
        Event("m1", platforms=wrong)


def test_a_platform_named_twice_is_refused() -> None:
    """Two tasks of one event on one platform could not be told apart."""
    with pytest.raises(ValueError, match=r"names a platform twice: \['a', 'b', 'a'\]"):
        Event("m1", platforms=["a", "b", "a"])


@pytest.mark.parametrize("wrong", [1.0, "1", None, True])
def test_a_priority_of_another_type_is_refused(wrong: Any) -> None:
    """A priority is an int."""
    with pytest.raises(TypeError, match=r"^Event\(priority=…\) must be a whole number"):
        Event("m1", priority=wrong)


def test_a_priority_may_be_as_low_as_a_database_takes() -> None:
    """The least 64-bit integer is allowed, and one less is refused."""
    assert Event("m1", priority=-(2**63)).priority == -(2**63)
    with pytest.raises(ValueError, match=r"^Event\(priority=…\) must be at least -9223372036854775808"):
        Event("m1", priority=-(2**63) - 1)


@pytest.mark.parametrize("field", ["id", "url", "platforms", "data", "priority"])
def test_it_is_frozen(field: str) -> None:
    """No field can be set."""
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(Event("m1"), field, "other")


def test_it_is_a_value() -> None:
    """Events with the same fields are equal and hash alike; any field that differs makes them differ."""
    event = Event("m1", url="https://x.org/", platforms=("a",), data=1, priority=2)
    assert event == attrs.evolve(event)
    assert hash(event) == hash(attrs.evolve(event))
    others: list[dict[str, Any]] = [{"id": "m2"}, {"url": None}, {"platforms": ()}, {"data": 2}, {"priority": 1}]
    for change in others:
        assert attrs.evolve(event, **change) != event


def test_data_need_not_be_hashable() -> None:
    """An event that carries a dict can still be a key."""
    assert {Event("m1", data={"a": [1]}): 1}[Event("m1", data={"a": [1]})] == 1


def test_it_can_be_copied_and_pickled() -> None:
    """A copy is equal to the original."""
    event = Event("m1", url="https://x.org/", platforms=("a",), data={"a": 1}, priority=2)
    assert copy.deepcopy(event) == event
    assert pickle.loads(pickle.dumps(event)) == event


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (Event("m1"), "Event('m1')"),
        (Event(7), "Event('7')"),
        (Event(url="https://x.org/"), "Event(url='https://x.org/')"),
        (Event("m1", url="https://x.org/"), "Event('m1', url='https://x.org/')"),
        (Event("m1", platforms=["a", "b"]), "Event('m1', platforms=('a', 'b'))"),
        (Event("m1", priority=-1), "Event('m1', priority=-1)"),
        (Event(url=SECRET), f"Event(url='{SHOWN}')"),
        (Event("m1", url=SECRET, data="t0ps3cret"), f"Event('m1', url='{SHOWN}')"),
    ],
)
def test_its_repr(event: Event, text: str) -> None:
    """It shows what was given, but for the data, and for the secrets of a URL."""
    assert repr(event) == text


@given(scheme=st.sampled_from(["http", "https", "ftp"]), named=st.booleans())
def test_no_secret_of_a_url_is_shown(scheme: str, *, named: bool) -> None:
    """User, password, query values and fragment are in no repr, whichever way the event is named."""
    url = f"{scheme}://us3r:p4ss@x.org/a?key=v4lue&other=v4lue#fr4g"
    text = repr(Event("m1" if named else None, url=url))
    for secret in ("us3r", "p4ss", "v4lue", "fr4g"):
        assert secret not in text
    assert "x.org/a" in text


@pytest.mark.parametrize(
    ("url", "text"),
    [
        (SECRET, SHOWN),
        ("https://x.org", "https://x.org"),
        ("https://x.org/?", "https://x.org/"),
        ("https://x.org/a?b=c=d&e=", "https://x.org/a?b=…&e=…"),
        ("https://a:b@c:d@x.org/", "https://x.org/"),
        ("//anna:hunter2@x.org/a", "//x.org/a"),
        ("/a/b?c=d", "/a/b?c=…"),
        ("https://proxy.test/http:/anna:hunter2@x.org/a", "https://proxy.test/http:/x.org/a"),
        ("http://[::1]:8080/a", "http://[::1]:8080/a"),
        ("http://[::1/anna:hunter2", "(malformed URL)"),
        ("", ""),
    ],
)
def test_what_is_shown_of_a_url(url: str, text: str) -> None:
    """Scheme, host, port, path and the names in the query stay; a URL that cannot be read is not shown at all."""
    assert shown(url) == text


@pytest.mark.parametrize("wrong", [None, 0, False])
def test_no_platforms_are_an_empty_tuple(wrong: Any) -> None:
    """None, 0 and False are refused as other things that are no tuple are."""
    with pytest.raises(TypeError, match=r"^Event\(platforms=…\) must be a tuple of names"):
        Event("m1", platforms=wrong)


@pytest.mark.parametrize("url", ["anna:hunter2@x.org/a", "https:/anna:hunter2@x.org/a", "https:\\\\anna:hunter2@x.org"])
def test_a_url_that_was_mistyped_shows_no_password_either(url: str) -> None:
    """Just the URLs that are refused end in messages and logs."""
    assert "hunter2" not in shown(url)

"""Errors can be pickled and copied: all that they say is the same after it, and no credential goes along."""

from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrapeengine import errors
from scrapeengine.model.event import Event
from scrapeengine.model.outcome import Failure

SECRET = "s3cr" + "3t"
CREDENTIALS = {
    "Authorization": f"Bearer {SECRET}",
    "Proxy-Authorization": f"Basic {SECRET}",
    "Cookie": f"id={SECRET}",
    "X-Api-Key": SECRET,
    "x-auth-token": SECRET,
    "X-Amz-Security-Token": SECRET,
    "Api-Key": SECRET,
    "X-CSRF-Token": SECRET,
    "Referer": f"https://a.test/?token={SECRET}",
    "Their-Own": SECRET,
}
PLAIN = {"Accept": "text/html", "User-Agent": "mine/1.0", "If-None-Match": '"a"'}

WAYS: list[Callable[[Any], Any]] = [copy.copy, copy.deepcopy]
WAYS += [lambda error, protocol=protocol: pickle.loads(pickle.dumps(error, protocol)) for protocol in range(6)]
NAMES = ["copy", "deepcopy", *(f"pickle-{protocol}" for protocol in range(6))]


def tree(kind: type[errors.ScrapeError]) -> Iterator[type[errors.ScrapeError]]:
    """Walk through a class and all that is below it, in the library."""
    if kind.__module__ == errors.__name__:
        yield kind
    for below in kind.__subclasses__():
        yield from tree(below)


def request() -> httpx.Request:
    """Make a request with every credential there is."""
    url = f"https://user:{SECRET}@a.test/x?q=1"
    return httpx.Request("POST", url, headers=CREDENTIALS | PLAIN, content=f"password={SECRET}".encode())


def cookies(response: httpx.Response) -> list[tuple[str, str | None]]:
    """Return the cookies that a response sets; httpx keeps what it has made of them."""
    return [(cookie.name, cookie.value) for cookie in response.cookies.jar]


def responses() -> st.SearchStrategy[httpx.Response]:
    """Make responses: read ones, with and without a request, whose cookies were looked at or not."""

    def made(
        status: int, content: bytes, headers: list[tuple[str, str]], asked: int, *, looked: bool
    ) -> httpx.Response:
        response = httpx.Response(status, headers=headers, content=content)
        if asked:
            response.request = request()
        if asked > 1:
            response.history = [httpx.Response(302, request=request())]
            response.next_request = request()
        if asked and looked:
            assert cookies(response) is not None
        return response

    names = st.sampled_from(["Set-Cookie", "X-Seen", "Content-Type"])
    headers = st.lists(st.tuples(names, st.sampled_from(["a=1", "text/plain", "b=2; Path=/"])), max_size=4)
    statuses = st.integers(400, 599)
    return st.builds(made, statuses, st.binary(max_size=20), headers, st.integers(0, 2), looked=st.booleans())


FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "response": responses(),
    "seconds": st.floats(0, 1e9),
    "attempt": st.integers(1, 9),
}
texts = st.text(max_size=20)


def made(kind: type[errors.ScrapeError]) -> st.SearchStrategy[errors.ScrapeError]:
    """Make errors of one class, by what its `__init__` takes; texts unless said otherwise."""
    if kind.__init__ is Exception.__init__:
        return st.builds(kind, texts)
    parameters = list(inspect.signature(kind).parameters.values())
    positional = [FIELDS.get(each.name, texts) for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD]
    named = {each.name: FIELDS.get(each.name, texts) for each in parameters if each.kind is each.KEYWORD_ONLY}
    return st.builds(kind, *positional, **named)


def said(error: BaseException) -> Any:
    """Return all that an error says."""
    said = {name: value for name, value in vars(error).items() if name != "response"}
    return type(error), error.args, str(error), repr(error), said


def answered(response: httpx.Response) -> Any:
    """Return all that a site has sent."""
    history = [answered(each) for each in response.history]
    return response.status_code, response.headers.multi_items(), response.content, history


def asked(response: httpx.Response) -> httpx.Request | None:
    """Return the request, if there is one."""
    try:
        return response.request
    except RuntimeError:
        return None


def holds_a_secret(thing: object) -> bool:
    """Say whether a secret stands in anything that can be reached from here."""
    return SECRET.encode() in pickle.dumps(thing) or SECRET in repr(vars(thing))


@pytest.mark.parametrize("way", WAYS, ids=NAMES)
@given(st.data())
def test_each_error_says_the_same_after_it(way: Callable[[Any], Any], data: st.DataObject) -> None:
    """Class, args, attributes, texts and notes, of every class that the library has; the original stays as it is."""
    kinds = list(tree(errors.ScrapeError))
    assert {kind.__name__ for kind in kinds} == set(errors.__all__)
    for kind in kinds:
        error = data.draw(made(kind))
        for note in data.draw(st.lists(texts, max_size=2)):
            error.add_note(note)
        error.seen_by = "the program"  # type: ignore[attr-defined]
        before, notes = said(error), list(getattr(error, "__notes__", []))
        again = way(error)
        assert said(again) == said(error) == before
        assert again is not error
        again.add_note("of the copy")
        assert getattr(error, "__notes__", []) == notes
        if isinstance(error, errors.StatusError):
            assert answered(again.response) == answered(error.response)
            if asked(error.response):
                assert cookies(again.response) == cookies(error.response)


@pytest.mark.parametrize("way", WAYS, ids=NAMES)
@given(responses())
def test_a_request_s_credentials_stay_behind(way: Callable[[Any], Any], response: httpx.Response) -> None:
    """Of the request go along method, URL and what tells nothing: no other header, no body, no user and password."""
    again = way(errors.StatusError(response))
    assert not holds_a_secret(again)
    assert not holds_a_secret(again.response)
    for before, after in zip([response, *response.history], [again.response, *again.response.history], strict=True):
        request = asked(before)
        if request is None:
            assert asked(after) is None
            continue
        assert SECRET in repr(request.headers.raw)  # the original keeps what it has
        assert after.request.method == "POST"
        assert after.request.url == after.url == "https://a.test/x?q=1"
        assert after.request.content == b""
        headers = dict(after.request.headers)
        assert {name.lower(): value for name, value in PLAIN.items()}.items() <= headers.items()
        assert not {name.lower() for name in CREDENTIALS} & headers.keys()


@pytest.mark.parametrize("way", WAYS, ids=NAMES)
def test_they_travel_in_groups_and_outcomes_too(way: Callable[[Any], Any]) -> None:
    """An error in a group of groups, and the `Failure` that holds it."""
    error = errors.StatusError(httpx.Response(503, request=request(), text="later"), platform="p", attempt=2)
    group = ExceptionGroup(
        "all", [ValueError(1), ExceptionGroup("more", [error, errors.PlatformClosed("c", seconds=3)])]
    )
    again = way(Failure(event=Event("e", data={"a": 1}), platform="p", error=group, attempts=2))
    assert (again.event, again.platform, again.attempts) == (Event("e", data={"a": 1}), "p", 2)
    if way is copy.copy:  # it has the very same error, as a shallow copy does
        assert again.error is group
        return
    status, closed = again.error.exceptions[1].exceptions
    assert said(status) == said(error)
    assert (status.response.text, closed.seconds) == ("later", 3)
    assert not holds_a_secret(status)


class Mine(errors.TransportError):
    """An error of a program's own, that takes other arguments."""

    def __init__(self, url: str, *, shade: str) -> None:
        super().__init__(f"{shade} at {url}", url=url)
        self.shade = shade


@pytest.mark.parametrize("way", WAYS, ids=NAMES)
def test_a_program_s_own_errors_travel_as_well(way: Callable[[Any], Any]) -> None:
    """Whatever their `__init__` takes."""
    again = way(Mine("https://a.test/", shade="grey"))
    assert said(again) == said(Mine("https://a.test/", shade="grey"))

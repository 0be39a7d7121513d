"""The tree of errors, and what they say."""

from __future__ import annotations

import inspect

import httpx
import pytest

from scrapeengine import errors

PARENTS = {
    "StoreError": errors.ScrapeError,
    "StoreBusy": errors.StoreError,
    "StoreClosed": errors.StoreError,
    "StoreFull": errors.StoreError,
    "RecordedError": errors.ScrapeError,
    "ScraperCrashed": errors.ScrapeError,
    "ScrapeError": Exception,
    "EngineBusy": errors.ScrapeError,
    "AgendaFull": errors.ScrapeError,
    "ItemsFull": errors.ScrapeError,
    "UnknownPlatform": errors.ScrapeError,
    "TaskTimeout": errors.ScrapeError,
    "RetriesExhausted": errors.ScrapeError,
    "PlatformClosed": errors.ScrapeError,
    "PoisonousJob": errors.ScrapeError,
    "SinkUnavailable": errors.ScrapeError,
    "RequestError": errors.ScrapeError,
    "InvalidRequest": errors.RequestError,
    "UnsupportedEncoding": errors.RequestError,
    "RobotsDisallowed": errors.RequestError,
    "RobotsUnavailable": errors.RequestError,
    "AddressBlocked": errors.RequestError,
    "CertificateError": errors.RequestError,
    "HeadersTooLarge": errors.RequestError,
    "BodyTooLarge": errors.RequestError,
    "StatusError": errors.RequestError,
    "RedirectError": errors.RequestError,
    "TooManyRedirects": errors.RedirectError,
    "TransportError": errors.RequestError,
    "AttemptTimeout": errors.TransportError,
    "ConnectFailed": errors.TransportError,
    "ConnectionBroken": errors.TransportError,
    "TruncatedBody": errors.TransportError,
    "ProtocolError": errors.TransportError,
}


@pytest.mark.parametrize(("name", "parent"), PARENTS.items())
def test_the_tree(name: str, parent: type[Exception]) -> None:
    """Each error stands where the docstring of the module draws it."""
    assert getattr(errors, name).__bases__ == (parent,)
    assert name in inspect.getdoc(errors)  # type: ignore[operator]


def test_the_tree_is_whole() -> None:
    """What the module exports is every error it defines, and no other."""
    defined = {name for name, value in vars(errors).items() if inspect.isclass(value) and issubclass(value, Exception)}
    assert defined == set(errors.__all__) == set(PARENTS)


def test_platform_closed_says_for_how_long() -> None:
    """The seconds are an attribute, and the message is what it was given."""
    error = errors.PlatformClosed("closed", seconds=12.5)
    assert (str(error), error.seconds) == ("closed", 12.5)
    with pytest.raises(TypeError):
        errors.PlatformClosed("closed")  # type: ignore[call-arg]


def test_a_request_error_says_which_request() -> None:
    """Method, URL, platform, attempt and seconds are attributes, and all are in its text."""
    error = errors.ConnectFailed("refused", platform="p", method="GET", url="https://x.org/", attempt=2, seconds=1.006)
    assert (error.platform, error.method, error.url) == ("p", "GET", "https://x.org/")
    assert (error.attempt, error.seconds) == (2, 1.006)
    assert str(error) == "refused (GET https://x.org/ on 'p', attempt 2, 1.01 s)"


def test_a_request_error_leaves_out_the_platform_that_it_does_not_know() -> None:
    """Without a platform its text names none; it is the first attempt, unless said otherwise."""
    error = errors.ProtocolError("garbage", method="GET", url="https://x.org/")
    assert str(error) == "garbage (GET https://x.org/, attempt 1, 0.00 s)"
    assert error.platform == ""
    assert str(errors.InvalidRequest("malformed", method="GET", platform="p")).startswith("malformed (GET on 'p', ")


def test_a_request_error_by_default() -> None:
    """Only the message is needed."""
    error = errors.RequestError("it failed")
    assert (error.platform, error.method, error.url, error.attempt, error.seconds) == ("", "", "", 1, 0.0)
    assert error.args == ("it failed",)


def test_a_status_error_holds_the_answer() -> None:
    """It has the response, its status, and all that a request error has."""
    response = httpx.Response(503)
    error = errors.StatusError(response, platform="p", method="GET", url="https://x.org/", attempt=3, seconds=0.25)
    assert error.response is response
    assert error.status == 503
    assert str(error) == "503 Service Unavailable (GET https://x.org/ on 'p', attempt 3, 0.25 s)"
    assert (error.platform, error.method, error.url) == ("p", "GET", "https://x.org/")
    assert (error.attempt, error.seconds) == (3, 0.25)


def test_a_status_without_a_phrase_ends_without_a_space() -> None:
    """HTTP has no phrase for each status; the text is the number alone then."""
    error = errors.StatusError(httpx.Response(599), method="GET", url="https://x.org/")
    assert str(error) == "599 (GET https://x.org/, attempt 1, 0.00 s)"
    assert (error.platform, error.attempt, error.seconds) == ("", 1, 0.0)
    assert (errors.StatusError(httpx.Response(500)).method, errors.StatusError(httpx.Response(500)).url) == ("", "")


def test_an_error_without_a_request_names_none() -> None:
    """Where method and URL are not known, the text has no gap in their place."""
    assert str(errors.RequestError("it failed")) == "it failed (attempt 1, 0.00 s)"
    assert str(errors.RequestError("it failed", platform="p")) == "it failed (on 'p', attempt 1, 0.00 s)"

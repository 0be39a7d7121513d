"""The answer to a request, as scrapers get it, and its headers."""

from __future__ import annotations

import re
from collections.abc import ItemsView, KeysView, ValuesView
from datetime import timedelta
from typing import Any

import httpx

from scrapeengine.errors import RequestError
from scrapeengine.http.transport.answer import AnswerSoFar, Fields
from scrapeengine.http.wire.call import Call

__all__ = ["Response", "ResponseHeaders", "header", "location_of"]

_NOTHING = httpx.ByteStream(b"")
_NONE = httpx.Headers()
_SET_REQUEST = vars(httpx.Response)["request"].__set__
"""Sets the request of a response, of which `Response` overrides the getter."""
_SINGLE = frozenset(
    {
        *("age", "content-disposition", "content-length", "content-location", "content-range", "content-type", "date"),
        *("etag", "expires", "last-modified", "location", "retry-after"),
    }
)
"""The headers of answers that have one value, which is no list (RFC 9110, section 5.6.1)."""


class ResponseHeaders(httpx.Headers):
    """The headers of an answer. Of those that have one value and were given twice, the first is the value.

    Each value is read by itself, as UTF-8, or as ISO-8859-1 if it is none; `raw` has the bytes.
    """

    def __getitem__(self, key: str) -> str:
        """Return the value of a header; several are joined where it is a list."""
        found = self.get_list(key)
        if not found:
            raise KeyError(key)
        return found[0] if len(found) == 1 or key.lower() in _SINGLE else ", ".join(found)

    def get_list(self, key: str, split_commas: bool = False) -> list[str]:  # noqa: FBT001, FBT002 - as httpx has it
        """Return all values of a header, one by one."""
        wanted = key.lower().encode("utf-8")
        found = [_text(value) for name, value in self.raw if name.lower() == wanted]
        return [each.strip() for text in found for each in text.split(",")] if split_commas else found

    def multi_items(self) -> list[tuple[str, str]]:
        """Return all headers, one by one."""
        return [(name.decode("ascii").lower(), _text(value)) for name, value in self.raw]

    def keys(self) -> KeysView[str]:
        """Return the names, in lower case."""
        return dict(self.multi_items()).keys()

    def values(self) -> ValuesView[str]:
        """Return the values, by the names."""
        return {key: self[key] for key in self.keys()}.values()

    def items(self) -> ItemsView[str, str]:
        """Return the names and their values."""
        return {key: self[key] for key in self.keys()}.items()

    def copy(self) -> ResponseHeaders:
        """Return another one that is the same."""
        return ResponseHeaders(self.raw)


def _text(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


class Response(httpx.Response):
    """An `httpx.Response` that makes its `headers` and its `request` when someone looks at them.

    It is the one door to private parts of httpx, `_content` and `_cookies`; a test says when these have changed.
    """

    _call: Call | None = None
    _headers: httpx.Headers | None = None
    _taken = 0
    _seconds = 0.0
    _raw: Fields
    unreadable: RequestError | None = None
    """Why it has no body, though the site has sent one."""

    @classmethod
    def of(cls, call: Call, came: AnswerSoFar, body: bytes, unreadable: RequestError | None = None) -> Response:
        """Make an answer whose body has been read and decoded.

        Args:
            call: what was answered.
            came: what has come.
            body: the body, or as much of it as was wanted.
            unreadable: why there is none, though one was sent.
        """
        answer = cls(came.status, headers=_NONE, stream=_NOTHING, extensions=came.extensions)
        # What it needs of what came, and no more: an answer may be kept for long, and is pickled.
        answer._raw, answer._headers, answer._taken = came.headers, None, came.size
        # Given the body, httpx would decode it once more, all at once and without a bound; and reading it by parts
        # costs more than all else here. So it is put where httpx keeps what was read, which is private.
        answer._content = body
        answer.is_stream_consumed = answer.is_closed = True
        answer._call = call
        if unreadable is not None:
            answer.unreadable = unreadable
        return answer

    @property
    def headers(self) -> httpx.Headers:
        """The headers, as they came."""
        if self._headers is None:
            self._headers = ResponseHeaders(self._raw)
        return self._headers

    @headers.setter
    def headers(self, value: httpx.Headers) -> None:
        self._headers = value

    @property
    def raw_headers(self) -> Fields:
        """The headers in bytes, as they came."""
        return self._raw

    def took(self, seconds: float) -> None:
        """Set how long it took, redirects included."""
        self._seconds = seconds

    @property
    def elapsed(self) -> timedelta:
        """The time that it took, redirects included."""
        return timedelta(seconds=self._seconds)

    @elapsed.setter
    def elapsed(self, elapsed: timedelta) -> None:
        self._seconds = elapsed.total_seconds()

    @property
    def num_bytes_downloaded(self) -> int:
        """The bytes of the body as they came."""
        return self._taken

    @property
    def request(self) -> httpx.Request:
        """The request that was answered; without the user and password of its URL."""
        if self._call is not None:
            self.request, self._call = self._call.request, None
        return super().request

    @request.setter
    def request(self, value: httpx.Request) -> None:
        _SET_REQUEST(self, value)

    def __repr__(self) -> str:
        """Show the status, and not the site's own phrase for it, which may quote the request."""
        return f"<Response [{self.status_code}]>"

    def __getstate__(self) -> dict[str, Any]:
        """Return what is pickled and copied: what httpx keeps of a response, its request included."""
        if self._call is not None:
            _ = self.request
        # The cookies, which httpx keeps in private, are made anew of the headers: they hold a lock.
        return {name: value for name, value in super().__getstate__().items() if name != "_cookies"}

    def raise_for_status(self) -> httpx.Response:
        """Raise `httpx.HTTPStatusError` for a status that is no success, redirects and 304 included, as httpx does."""
        _ = self.request
        return super().raise_for_status()


def header(headers: Fields, name: bytes) -> bytes | None:
    """Return the first value of a header that has one value; None if it is not there.

    Args:
        headers: as they came.
        name: in lower case.
    """
    size = len(name)
    return next((value for key, value in headers if len(key) == size and key.lower() == name), None)


def location_of(headers: Fields) -> str | None:
    """Return where an answer leads by its `Location`, in ASCII; None if it has none, or an empty one.

    Bytes above ASCII are percent-encoded one by one, whatever they are: UTF-8 comes to be what it should, and what is
    none comes back to the server as it came.
    """
    value = header(headers, b"location")
    if value is None or not value.strip(_BLANKS):
        return None
    return _ABOVE_ASCII.sub(lambda found: b"%%%02X" % found[0][0], value).decode("ascii")


_BLANKS = bytes(range(0x21))
_ABOVE_ASCII = re.compile(rb"[\x80-\xff]")

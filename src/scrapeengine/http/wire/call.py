"""One request as it goes out, in bytes. The `httpx.Request` of it is made when someone looks at it."""

from __future__ import annotations

import functools
import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any

import attrs
import httpx

from scrapeengine.http.transport.connection import Origin
from scrapeengine.http.transport.sending import head_of, lines_of
from scrapeengine.http.wire.uploads import Upload

__all__ = ["Call", "Headers"]

Headers = tuple[tuple[bytes, bytes], ...]
_BODILESS = frozenset({"GET", "HEAD"})
"""Methods to whose requests httpx adds nothing where they have no body, which it takes as long to find as all else."""
_OPTIONS = re.compile(rb"[ \t]*,[ \t]*")


@attrs.define(eq=False, repr=False)
class Call:
    """One request."""

    method: str
    origin: Origin
    host: str
    """The host as platforms are named by it: with its port where that is not the scheme's own."""
    target: bytes
    """The path and the query."""
    headers: Headers
    """All that go out, `Host` included; names in lower case."""
    body: bytes
    head: bytes
    """The bytes that go out, the body's included but for those of an upload."""
    upload: Upload | None = None
    """The body, if it is read while it is sent."""
    closes: bool = False
    """Whether it says `Connection: close`, so that its connection carries no other request."""

    @classmethod
    def of(
        cls,
        method: str,
        origin: Origin,
        host: str,
        target: bytes,
        headers: Headers,
        body: bytes = b"",
        upload: Upload | None = None,
    ) -> Call:
        """Put a request into bytes.

        Raises:
            httpx.LocalProtocolError: it would break HTTP.
        """
        head = head_of(method, target, headers) + body
        closes = any(name == b"connection" and b"close" in _OPTIONS.split(value.lower()) for name, value in headers)
        return cls(method, origin, host, target, headers, body, head, upload, closes)

    @property
    def url(self) -> str:
        """The URL, without user, password and fragment."""
        return f"{self.origin.scheme}://{self.host}{self.target.decode('ascii')}"

    @property
    def renewable(self) -> bool:
        """Whether it can be sent, or sent once more: its body is not one that was read and is gone."""
        return self.upload is None or self.upload.renewable

    @property
    def request(self) -> httpx.Request:
        """The request in httpx's terms, as it was sent; an upload cannot be read from it."""
        return self._in_httpx_terms(None if self.upload is None else _Gone())

    def to_send(self) -> httpx.Request:
        """Return the request for a transport of httpx's, which is to send it."""
        return self._in_httpx_terms(None if self.upload is None else _UploadStream(self.upload))

    def first(self, name: bytes) -> bytes | None:
        """Return the first value of a header; None if it is not there."""
        return next((value for key, value in self.headers if key == name), None)

    def also(self, headers: Mapping[bytes, bytes]) -> Call:
        """Return this call with more headers, which replace those of the same name."""
        if not headers:
            return self
        if b"connection" not in headers and headers.keys().isdisjoint(dict(self.headers)):
            # As nearly always: what is there is known to be well, and the new lines go behind it.
            end = self.head.index(b"\r\n\r\n") + 2
            head = self.head[:end] + lines_of(headers.items()) + self.head[end:]
            all_of_them = (*self.headers, *headers.items())
            return Call(
                self.method, self.origin, self.host, self.target, all_of_them, self.body, head, self.upload, self.closes
            )
        kept = tuple((name, value) for name, value in self.headers if name not in headers)
        more = (*kept, *headers.items())
        return Call.of(self.method, self.origin, self.host, self.target, more, self.body, self.upload)

    def _in_httpx_terms(self, stream: httpx.AsyncByteStream | None) -> httpx.Request:
        url = _parsed(self.url)
        if stream is not None:
            request = httpx.Request(self.method, url, headers=self.headers, stream=stream)
        else:
            # It counts the body itself, and says nothing where there is none.
            headers = [(name, value) for name, value in self.headers if name != b"content-length"]
            if self.body or self.method not in _BODILESS:
                request = httpx.Request(self.method, url, headers=headers, content=self.body or None)
            else:
                request = httpx.Request(self.method, url, headers=headers, stream=httpx.ByteStream(b""))
                request.read()
        request.url = url  # httpx has made one of its own of it
        return request


class _ShownUrl(httpx.URL):
    """A URL of httpx's whose host can be looked at, also where `idna` knows no letters for it (`xn--n3h.net`)."""

    @property
    def host(self) -> str:
        """The host in its letters, or in ASCII where there are none."""
        try:
            return super().host
        except UnicodeError:
            return self.raw_host.decode("ascii").strip("[]")

    def copy_with(self, **kwargs: Any) -> httpx.URL:
        """Return another one, with some components changed."""
        return _ShownUrl(super().copy_with(**kwargs))

    def join(self, url: httpx.URL | str) -> httpx.URL:
        """Return a URL that is seen from this one."""
        return _ShownUrl(super().join(url))


@functools.lru_cache(maxsize=4096)
def _parsed(url: str) -> httpx.URL:
    """Return a URL in httpx's terms; those of feeds come again and again."""
    return _ShownUrl(url)


class _UploadStream(httpx.AsyncByteStream):
    """An upload, as transports of httpx's read it. Closed, it closes what it is read from."""

    def __init__(self, upload: Upload) -> None:
        self._upload = upload
        self._parts: AsyncGenerator[bytes, None] | None = None

    def __aiter__(self) -> AsyncIterator[bytes]:
        self._parts = self._upload.parts()
        return self._parts

    async def aclose(self) -> None:
        """Close what it is read from."""
        parts, self._parts = self._parts, None
        if parts is not None:
            await parts.aclose()


class _Gone(httpx.AsyncByteStream):
    """An upload that was sent."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        raise httpx.StreamConsumed

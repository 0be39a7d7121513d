"""The answer to a request, as scrapers get it: its body read under the caps, decoded in bounded steps."""

from __future__ import annotations

import math
import re
from collections.abc import ItemsView, Iterator, KeysView, ValuesView
from datetime import timedelta
from typing import Any

import httpx
import trio

from scrapeengine.errors import RequestError
from scrapeengine.http.transport.failures import BodyOverCap, Expired
from scrapeengine.http.wire.call import Call
from scrapeengine.http.wire.connector import Channel
from scrapeengine.http.wire.decoding import Decoder, decoder_for, heavy_window

__all__ = ["BodyReader", "Response", "ResponseHeaders", "header", "location_of"]

_STEP = 64 * 1024
"""How many bytes are decoded between two checkpoints."""
_LEAST = 1024
"""As how many bytes a piece counts at least: tiny ones cost time too."""
_NOTHING = httpx.ByteStream(b"")
_NONE = httpx.Headers()
_SET_REQUEST = vars(httpx.Response)["request"].__set__
"""What sets the request of a response, of which `Response` overrides the getter."""


_HEAVY: trio.lowlevel.RunVar[trio.CapacityLimiter] = trio.lowlevel.RunVar("scrapeengine heavy decoding")


def _few_at_a_time() -> trio.CapacityLimiter:
    """Return what heavy decoding stands in line for: many at once would hold up the loop by the memory they touch."""
    try:
        return _HEAVY.get()
    except LookupError:
        limiter = trio.CapacityLimiter(2)
        _HEAVY.set(limiter)
        return limiter


def _jumps() -> bool:
    """Say whether the clock is a simulated one that goes on when all wait: it does not wait for threads."""
    return getattr(trio.lowlevel.current_clock(), "autojump_threshold", math.inf) < math.inf


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
    """An `httpx.Response` that makes its `headers` and its `request` when someone looks at them."""

    _call: Call | None = None
    _headers: httpx.Headers | None = None
    _taken = 0
    _seconds = 0.0
    _raw: list[tuple[bytes, bytes]]
    unreadable: RequestError | None = None
    """Why it has no body, though the site has sent one."""

    @classmethod
    def of(cls, call: Call, channel: Channel, body: bytes) -> Response:
        """Make an answer whose body has been read and decoded."""
        answer = cls(channel.status, headers=_NONE, stream=_NOTHING, extensions=channel.extensions)
        answer._raw, answer._headers = channel.headers, None
        answer._taken = channel.taken
        # Given the body, httpx would decode it once more, all at once and without a bound; and reading it by parts
        # costs more than all else here. So it is put where httpx keeps what was read.
        answer._content = body
        answer.is_stream_consumed = answer.is_closed = True
        answer._call = call
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
    def raw_headers(self) -> list[tuple[bytes, bytes]]:
        """The headers in bytes, as they came."""
        return self._raw

    def took(self, seconds: float) -> None:
        """Take note of how long it took, redirects included."""
        self._seconds = seconds

    @property
    def elapsed(self) -> timedelta:
        """How long it took, redirects included."""
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
        # The cookies are made anew of the headers: what httpx has made holds a lock, which cannot be pickled.
        return {name: value for name, value in super().__getstate__().items() if name != "_cookies"}

    def raise_for_status(self) -> httpx.Response:
        """Raise `httpx.HTTPStatusError` for a status that is no success, redirects and 304 included, as httpx does."""
        _ = self.request
        return super().raise_for_status()


def header(headers: list[tuple[bytes, bytes]], name: bytes) -> bytes | None:
    """Return the first value of a header that has one value; None if it is not there.

    Args:
        headers: as they came.
        name: in lower case.
    """
    size = len(name)
    return next((value for key, value in headers if len(key) == size and key.lower() == name), None)


def location_of(headers: list[tuple[bytes, bytes]]) -> str | None:
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


class BodyReader:
    """The decoded body of an answer, part by part, under a cap."""

    def __init__(self, channel: Channel, cap: float) -> None:
        # A part of what is encoded cannot be decoded: a 206 is handed over as it is.
        coding = None if channel.status == 206 else channel.coding
        self.phase = "body"
        """What is being done: "body" or "decode"."""
        self._channel = channel
        self._cap = cap
        self._size = 0
        self._since = 0
        self._decoder: Decoder | None = None if coding is None else decoder_for(coding.decode("latin-1"))
        self._pieces: Iterator[bytes] = iter(())
        self._window: int | None = None
        """How many bytes the decoder decodes at once, if they are many; None: not known yet."""
        self._filled = 0
        """The size up to which they are decoded already."""

    async def whole(self) -> bytes:
        """Read all of it.

        Raises:
            BodyTooLarge: it exceeds the cap; at that point it has been left.
            httpx.TransportError: it breaks off, or cannot be decoded.

        Checkpoint, unless all of it has come already.
        """
        parts = []
        while (part := await self.part()) is not None:
            parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def part(self) -> bytes | None:
        """Return the next part, at most about 64 KiB; None at the end. Checkpoint where it has to wait or decodes much.

        Raises:
            BodyTooLarge: the cap is exceeded.
            httpx.TransportError: the body breaks off, or cannot be decoded.
        """
        while True:
            self.phase = "decode"
            while (piece := await self._next()) is not None:
                if piece:
                    await self._count(piece)
                    return bytes(piece)
            self.phase = "body"
            came = self._channel.take()
            if came:
                self._pieces = iter(came) if self._decoder is None else self._decoded(self._decoder, b"".join(came))
            elif self._channel.done:
                if self._decoder is not None:
                    self._decoder.end()
                return None
            else:
                await self._channel.more()

    def _decoded(self, decoder: Decoder, data: bytes) -> Iterator[bytes]:
        """Return what becomes of it, to be decoded piece by piece."""
        if self._window is None:
            self._window = 0 if _jumps() else heavy_window((self._channel.coding or b"").decode("latin-1"), data)
        return decoder.feed(data)

    async def _next(self) -> bytes | None:
        """Decode the next piece; in a thread where it takes long, which is when the decoder fills its window."""
        if not self._window or self._size < self._filled:
            return next(self._pieces, None)
        self._filled = self._size + self._window
        return await trio.to_thread.run_sync(next, self._pieces, None, limiter=_few_at_a_time())

    async def _count(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > self._cap:
            raise BodyOverCap(f"the body has more than {self._cap:.0f} bytes once decoded")
        self._since += max(len(piece), _LEAST)
        if self._since >= _STEP:
            self._since = 0
            await trio.lowlevel.checkpoint()
            if trio.current_time() >= self._channel.deadline:
                raise Expired("the deadline has passed")

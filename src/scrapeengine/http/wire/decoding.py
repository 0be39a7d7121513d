"""Content codings (RFC 9110, section 8.4), decoded in steps of bounded size.

What holds at all times, whatever is fed:

- A step takes in at most 16 KiB and gives out at most 64 KiB. Nothing is decoded ahead of what is asked for, in
  chains too. Between steps a decoder holds a step's worth and the window of its coding: gzip and deflate 32 KiB,
  brotli up to 16 MiB, zstd up to 8 MiB.
- Work is in proportion to what comes of it. Empty members, comments and frames to skip cost time and give out nothing
  that a cap could count, and within another coding they are free: a decoder that has taken in far more than it gave out
  is given up. So is one that makes no progress. In a chain the debts would multiply, so what passes between its codings
  is a debt of the chain too: a chain of any length does no more in vain than one of two.
- A body that ended too soon is never taken for a whole one, except where it was cut between two members or frames:
  there, nothing tells.

The libraries `brotli` and `backports.zstd` are optional (from Python 3.14 on, zstd is in the standard library). What is
not installed is not asked for; a body that comes in it all the same is an error that says what to install. So is one in
a coding that IANA has registered and nobody reads here. A label that is no coding (`utf-8`, `none`) says nothing.
"""

from __future__ import annotations

import enum
import sys
import zlib
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

import attrs
import httpx

from scrapeengine.http.transport.failures import CutShort, Unreadable

brotli: Any
zstd: Any
try:
    import brotli  # type: ignore[import-untyped, import-not-found, no-redef, unused-ignore]
except ImportError:
    brotli = None
try:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
except ImportError:
    zstd = None

__all__ = ["ACCEPT_ENCODING", "CODINGS", "Decoder", "decoder_for", "heavy_window"]

_IN = 16 * 1024
"""The bytes taken in at once. zlib copies what it leaves for later at each step: more would make that dear."""
_OUT = 64 * 1024
"""The bytes given out at once."""
_BROTLI_OUT = 32_000
"""What brotli is asked for: it doubles its buffer until that is passed, 32,752 bytes here and 98,272 for 64 KiB."""
_ZSTD_WINDOW_LOG = 23
"""8 MiB: what RFC 9659 allows senders of this coding to need, and browsers give. A frame may ask for 2 GiB."""
_MOST_CODINGS = 5
"""As curl and urllib3 have it. Each one needs its window; the work does not grow with them."""
_MOST_DEBT = 1024 * 1024
"""The bytes taken in that nothing has come of."""
_DEBT_OF_A_MEMBER = 256
"""What beginning a member or frame counts for, in bytes taken in: it takes some microseconds."""
_WORTH = 16
"""The bytes taken in that a byte given out makes up for. Honest codings need one, and seldom a little more."""
_GZIP_MAGIC = b"\x1f\x8b"


class Decoder(Protocol):
    """Decodes one body. It is dropped at any time; after an exception it is of no more use."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Decode more, as lazily as the iterator is asked; it must be exhausted before more is fed.

        Args:
            data: the next bytes of the body, of any number.

        Yields:
            The pieces, none empty, of at most 64 KiB each.

        Raises:
            httpx.DecodingError: the data is malformed, or coded so that next to nothing comes of it.
        """
        ...

    def end(self) -> None:
        """Check that what was fed is whole. Nothing at all is: the body of a HEAD or a 304 has no coding.

        Raises:
            CutShort: it is not.
        """
        ...


def decoder_for(content_encoding: str) -> Decoder | None:
    """Make the decoder of a body.

    Args:
        content_encoding: the header's value; names in any case, several in the order in which they were applied.

    Returns:
        None if there is nothing to decode. What cannot be read fails at its first byte and not here, with `Unreadable`
        or, of more than five codings, `httpx.DecodingError`: a HEAD and a 304 have the header too.
    """
    names = _codings(content_encoding)
    if len(names) > _MOST_CODINGS:
        return _Refusal(httpx.DecodingError(f"the body has {len(names)} content codings, more than {_MOST_CODINGS}"))
    stages = [_MAKERS[name]() for name in reversed(names)]
    return _Chain(stages) if len(stages) > 1 else stages[0] if stages else None


def _codings(content_encoding: str) -> list[str]:
    """Return the codings that a header names, without what is none."""
    names = (name.strip(" \t").lower() for name in content_encoding.split(","))
    return [name for name in names if name in _MAKERS]


def heavy_window(content_encoding: str, data: bytes) -> int:
    """Return how many bytes are decoded at once, however few are asked for, if that takes too long for an event loop.

    Brotli fills its whole window before it gives any of it: 30 ms for one of 16 MiB. The size stands in the first byte
    (RFC 7932, section 9.1); from 1 MiB on it counts. Of an inner coding nothing is known before it is decoded.

    Args:
        content_encoding: the header's value.
        data: the first bytes of the body.

    Returns:
        Bytes; 0 if it is not worth a thread.
    """
    codings = _codings(content_encoding)
    if codings[-1:] != ["br"]:
        return 2**24 if "br" in codings else 0
    first = data[0] if data else 0
    bits = 17 + ((first >> 1) & 7) if first & 1 else 16
    return 2**bits if bits >= 20 else 0


@attrs.frozen(eq=False)
class _Refusal:
    """The decoder of what cannot be read here; no body at all can be."""

    _error: httpx.DecodingError

    def feed(self, data: bytes) -> Iterator[bytes]:
        if data:
            raise self._error
        yield from ()

    def end(self) -> None:
        pass


@attrs.define(eq=False)
class _Debt:
    """What was done in vain; an honest body is soon quit of it."""

    _of: str
    _size: int = attrs.field(default=0, init=False)

    def owe(self, size: int) -> None:
        self._size += size
        if self._size > _MOST_DEBT:
            raise httpx.DecodingError(f"next to nothing comes of the body's {self._of}")

    def repay(self, size: int) -> None:
        self._size = max(0, self._size - _WORTH * size)


@attrs.define(eq=False)
class _Chain:
    """Codings one within the other, the outermost first."""

    _stages: Sequence[Decoder]
    _debt: _Debt = attrs.field(factory=lambda: _Debt("codings"), init=False)

    def feed(self, data: bytes) -> Iterator[bytes]:
        for piece in self._through(self._stages, data):
            self._debt.repay(len(piece))
            yield piece

    def end(self) -> None:
        for stage in self._stages:
            stage.end()

    def _through(self, stages: Sequence[Decoder], data: bytes) -> Iterator[bytes]:
        first, *rest = stages
        for piece in first.feed(data):
            if rest:
                self._debt.owe(len(piece))
                yield from self._through(rest, piece)
            else:
                yield piece


class _Step(NamedTuple):
    """What an engine has done."""

    piece: bytes
    more: bool
    """Whether it can go on without more data; else it has taken in all that it was given."""
    left: bytes | None
    """The data behind the end; None before the end."""


_Engine: TypeAlias = Callable[[bytes], _Step]
"""A library's decoder of one member, frame or stream. It gets no data as long as there is `more`."""


def _zlib(wbits: int) -> _Engine:
    inner = zlib.decompressobj(wbits)

    def step(data: bytes) -> _Step:
        piece = inner.decompress(data or inner.unconsumed_tail, _OUT)
        # All taken in, it may still hold what there was no room for.
        return _Step(piece, len(piece) == _OUT, inner.unused_data if inner.eof else None)

    return step


def _brotli() -> _Engine:
    inner = brotli.Decompressor()

    def step(data: bytes) -> _Step:
        piece = inner.process(data, output_buffer_limit=_BROTLI_OUT)
        # Ready for more data, it may still hold what there was no room for; nothing tells but an empty piece. What
        # follows the end in the same step is an error to it, so that nothing is left.
        more = bool(piece) or not inner.can_accept_more_data()
        return _Step(piece, more, b"" if inner.is_finished() else None)

    return step


def _zstd() -> _Engine:
    inner = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG})

    def step(data: bytes) -> _Step:
        piece = inner.decompress(data, _OUT)
        return _Step(piece, not inner.needs_input, inner.unused_data if inner.eof else None)

    return step


class _After(enum.Enum):
    """What becomes of the data behind the end of a member."""

    ANOTHER = enum.auto()
    IGNORED = enum.auto()
    REFUSED = enum.auto()
    UNCLEAR = enum.auto()
    """There is too little of it to tell."""


@attrs.define(eq=False)
class _Stage:
    """One coding, decoded by an engine for each of its members or frames."""

    _name: str
    _start: Callable[[bytes], _Engine]
    """Makes the engine for what begins with these bytes."""
    _after: Callable[[bytes], _After]
    _engine: _Engine | None = attrs.field(default=None, init=False)
    """None before the first member, and between two."""
    _ended: bool = attrs.field(default=False, init=False)
    """Whether a member has ended."""
    _unclear: bytes = attrs.field(default=b"", init=False)
    """What may be the start of another member, less than it takes to tell."""
    _over: bool = attrs.field(default=False, init=False)
    """Whether all that comes is ignored."""
    _debt: _Debt = attrs.field(default=attrs.Factory(lambda self: _Debt(self._name), takes_self=True), init=False)

    def feed(self, data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), _IN):
            part = data[start : start + _IN]
            self._debt.owe(len(part))
            while part and not self._over:
                if self._engine is None:
                    self._engine, part = self._begin(part)
                if self._engine is not None:
                    part = yield from self._run(self._engine, part)

    def end(self) -> None:
        if self._engine is not None or self._unclear:
            raise CutShort(f"the body ended before its {self._name} was whole")

    def _begin(self, data: bytes) -> tuple[_Engine | None, bytes]:
        """Return the engine for a member, and what to feed it; none if no member begins here."""
        if not self._ended:
            return self._start(data), data
        data, self._unclear = self._unclear + data, b""
        match self._after(data):
            case _After.ANOTHER:
                self._debt.owe(_DEBT_OF_A_MEMBER)
                return self._start(data), data
            case _After.IGNORED:
                self._over = True
            case _After.REFUSED:
                raise self._malformed()
            case _After.UNCLEAR:
                self._unclear = data
        return None, b""

    def _run(self, engine: _Engine, data: bytes) -> Generator[bytes, None, bytes]:
        """Have the engine take the data in, give out what comes of it, and return what lies behind the end."""
        while True:
            try:
                step = engine(data)
            except _MALFORMED:
                raise self._malformed() from None
            if step.piece:
                self._debt.repay(len(step.piece))
                yield step.piece
            if step.left is not None:
                self._engine, self._ended = None, True
                return step.left
            if not step.more:
                return b""
            if not step.piece and not data:
                raise httpx.DecodingError(f"the decoder of the body's {self._name} makes no progress")
            data = b""

    def _malformed(self) -> httpx.DecodingError:
        return httpx.DecodingError(f"the body is not {self._name} that can be decoded here")


def _gzip() -> Decoder:
    """Members follow one another (RFC 1952, section 2.2). Padding and rubbish behind the last are ignored by all."""
    return _Stage("gzip", lambda _: _zlib(16 + zlib.MAX_WBITS), _after_gzip)


def _after_gzip(data: bytes) -> _After:
    if data.startswith(_GZIP_MAGIC):
        return _After.ANOTHER
    return _After.UNCLEAR if _GZIP_MAGIC.startswith(data) else _After.IGNORED


def _deflate() -> Decoder:
    """The zlib format, says RFC 9110; bare deflate is sent too, and its first byte tells.

    That of zlib has 8 in its lower half (RFC 1950, section 2.2). In bare deflate this would be a stored block with a
    one in its padding (RFC 1951, section 3.2.4), which no encoder writes.
    """
    return _Stage(
        "deflate",
        lambda data: _zlib(zlib.MAX_WBITS if data[0] & 15 == 8 else -zlib.MAX_WBITS),
        lambda _: _After.IGNORED,
    )


def _br() -> Decoder:
    """There is one stream (RFC 7932, section 10), and nothing behind it."""
    return _Stage("brotli", lambda _: _brotli(), lambda _: _After.REFUSED)


def _zstd_frames() -> Decoder:
    """Frames follow one another (RFC 8878, section 3.1)."""
    return _Stage("zstd", lambda _: _zstd(), lambda _: _After.ANOTHER)


_EXTRA = "pip install --upgrade 'scrapeengine[encodings]', or leave the header Accept-Encoding to the engine"
_UNREAD = ("aes128gcm", "compress", "dcb", "dcz", "exi", "pack200-gzip", "x-compress")
"""The other content codings that IANA has registered, 2026; what is not among them is no coding."""


def _refusing(coding: str, instead: str = "") -> Callable[[], Decoder]:
    return lambda: _Refusal(Unreadable(f"the body is {coding}, which cannot be read here{instead}"))


_MALFORMED: tuple[type[Exception], ...] = (zlib.error,)
_MAKERS: dict[str, Callable[[], Decoder]] = {"gzip": _gzip, "deflate": _deflate}
# Before 1.2, brotli had no limit to what it gives out.
if hasattr(getattr(brotli, "Decompressor", None), "can_accept_more_data"):
    _MALFORMED += (brotli.error,)
    _MAKERS["br"] = _br
if zstd is not None:
    _MALFORMED += (zstd.ZstdError,)
    _MAKERS["zstd"] = _zstd_frames

CODINGS = tuple(_MAKERS)
"""The codings that can be decoded here."""
ACCEPT_ENCODING = ", ".join(CODINGS)
"""What to ask servers for."""

if "br" not in CODINGS:
    _old = "" if brotli is None else f" with brotli {getattr(brotli, '__version__', 'as it is')}, but with 1.2 or later"
    _MAKERS["br"] = _refusing("br", f"{_old}: {_EXTRA}")
if "zstd" not in CODINGS:
    _instead = "this Python was built without compression.zstd" if sys.version_info >= (3, 14) else _EXTRA
    _MAKERS["zstd"] = _refusing("zstd", f": {_instead}")
_MAKERS |= {"x-gzip": _gzip, "x-deflate": _deflate} | {name: _refusing(name) for name in _UNREAD}

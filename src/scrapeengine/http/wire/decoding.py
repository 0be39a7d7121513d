"""Content codings (RFC 9110, section 8.4): which there are, and what decodes each. How they are decoded: `stages`.

The libraries `brotli` and `backports.zstd` are optional (from Python 3.14 on, zstd is in the standard library). What is
not installed is not asked for; a body that comes in it all the same is an error that says what to install. So is one in
a coding that IANA has registered and nobody reads here. A label that is no coding (`utf-8`, `none`) says nothing.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable
from typing import Any

import httpx

from scrapeengine.http.transport.failures import Unreadable
from scrapeengine.http.wire.stages import After, Chain, Decoder, Engine, Refusal, Stage, Step

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

__all__ = ["ACCEPT_ENCODING", "CODINGS", "decoder_for", "heavy_window"]

_OUT = 64 * 1024
"""The bytes given out at once."""
_BROTLI_OUT = 32_000
"""The bytes that brotli is asked for: it doubles its buffer until that is passed: 32,752 here, 98,272 for 64 KiB."""
_ZSTD_WINDOW_LOG = 23
"""8 MiB: what RFC 9659 allows senders of this coding to need, and browsers give. A frame may ask for 2 GiB."""
_MOST_CODINGS = 5
"""As curl and urllib3 have it. Each one needs its window; the work does not grow with them."""
_GZIP_MAGIC = b"\x1f\x8b"


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
        return Refusal(httpx.DecodingError(f"the body has {len(names)} content codings, more than {_MOST_CODINGS}"))
    stages = [_MAKERS[name]() for name in reversed(names)]
    return Chain(stages) if len(stages) > 1 else stages[0] if stages else None


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


def _zlib(wbits: int) -> Engine:
    inner = zlib.decompressobj(wbits)

    def step(data: bytes) -> Step:
        piece = inner.decompress(data or inner.unconsumed_tail, _OUT)
        # All taken in, it may still hold what there was no room for.
        return Step(piece, len(piece) == _OUT, inner.unused_data if inner.eof else None)

    return step


def _brotli() -> Engine:
    inner = brotli.Decompressor()

    def step(data: bytes) -> Step:
        piece = inner.process(data, output_buffer_limit=_BROTLI_OUT)
        # Ready for more data, it may still hold what there was no room for; nothing tells but an empty piece. What
        # follows the end in the same step is an error to it, so that nothing is left.
        more = bool(piece) or not inner.can_accept_more_data()
        return Step(piece, more, b"" if inner.is_finished() else None)

    return step


def _zstd() -> Engine:
    inner = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG})

    def step(data: bytes) -> Step:
        piece = inner.decompress(data, _OUT)
        return Step(piece, not inner.needs_input, inner.unused_data if inner.eof else None)

    return step


def _gzip() -> Decoder:
    """Members follow one another (RFC 1952, section 2.2). Padding and rubbish behind the last are ignored by all."""
    return Stage("gzip", lambda _: _zlib(16 + zlib.MAX_WBITS), _after_gzip, _MALFORMED)


def _after_gzip(data: bytes) -> After:
    if data.startswith(_GZIP_MAGIC):
        return After.ANOTHER
    return After.UNCLEAR if _GZIP_MAGIC.startswith(data) else After.IGNORED


def _deflate() -> Decoder:
    """The zlib format, says RFC 9110; bare deflate is sent too, and its first byte tells.

    That of zlib has 8 in its lower half (RFC 1950, section 2.2). In bare deflate this would be a stored block with a
    one in its padding (RFC 1951, section 3.2.4), which no encoder writes.
    """
    return Stage(
        "deflate",
        lambda data: _zlib(zlib.MAX_WBITS if data[0] & 15 == 8 else -zlib.MAX_WBITS),
        lambda _: After.IGNORED,
        _MALFORMED,
    )


def _br() -> Decoder:
    """There is one stream (RFC 7932, section 10), and nothing behind it."""
    return Stage("brotli", lambda _: _brotli(), lambda _: After.REFUSED, _MALFORMED)


def _zstd_frames() -> Decoder:
    """Frames follow one another (RFC 8878, section 3.1)."""
    return Stage("zstd", lambda _: _zstd(), lambda _: After.ANOTHER, _MALFORMED)


_EXTRA = "pip install --upgrade 'scrapeengine[encodings]', or leave the header Accept-Encoding to the engine"
_UNREAD = ("aes128gcm", "compress", "dcb", "dcz", "exi", "pack200-gzip", "x-compress")
"""The other content codings that IANA has registered, 2026; what is not among them is no coding."""


def _refusing(coding: str, instead: str = "") -> Callable[[], Decoder]:
    return lambda: Refusal(Unreadable(f"the body is {coding}, which cannot be read here{instead}"))


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
"""The `Accept-Encoding` that goes out."""

if "br" not in CODINGS:
    _old = "" if brotli is None else f" with brotli {getattr(brotli, '__version__', 'as it is')}, but with 1.2 or later"
    _MAKERS["br"] = _refusing("br", f"{_old}: {_EXTRA}")
if "zstd" not in CODINGS:
    _instead = "this Python was built without compression.zstd" if sys.version_info >= (3, 14) else _EXTRA
    _MAKERS["zstd"] = _refusing("zstd", f": {_instead}")
_MAKERS |= {"x-gzip": _gzip, "x-deflate": _deflate} | {name: _refusing(name) for name in _UNREAD}

"""Requests as they go out: the head in bytes, and the framing of the body."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext

import httpx

__all__ = ["chunked", "framing", "head_of", "lines_of", "measured"]

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_TARGET = re.compile(rb"[!-~]+")
_HOST = re.compile(rb"(?:[A-Za-z0-9!$&'()*+;=%._~-]+|\[[A-Za-z0-9:.%_~-]+\])(?::[0-9]*)?")
"""A host and a port (RFC 9110, section 7.2), but for the comma, by which two of them are joined."""
_LENGTH = re.compile(rb"[0-9]{1,19}")
_VALUE = re.compile(rb"[\t -~\x80-\xff]*")


def head_of(method: str, target: bytes, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return the head of a request.

    Raises:
        httpx.LocalProtocolError: it would break HTTP: a line break in a header, a space in the target.
    """
    verb = method.encode("ascii", "replace")
    if not _TOKEN.fullmatch(verb) or not _TARGET.fullmatch(target):
        raise httpx.LocalProtocolError("the method or the target of the request is malformed")
    return b"%b %b HTTP/1.1\r\n%b\r\n" % (verb, target, lines_of(headers))


def lines_of(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return headers of a request as they go out.

    Raises:
        httpx.LocalProtocolError: one would break HTTP.
    """
    lines = []
    for name, value in headers:
        if not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
            raise httpx.LocalProtocolError("a header of the request is malformed: its name, or a control character")
        lines.append(b"%b: %b\r\n" % (name, value))
    return b"".join(lines)


def framing(headers: Iterable[tuple[bytes, bytes]], *, parts: bool) -> int | None:
    """Return how many bytes the body of a request has; None if it goes out in chunks.

    What one server could take for another request, or for more of them, than the next does is refused, whoever wrote
    its headers (RFC 9112, sections 3.2, 6 and 11.2).

    Args:
        headers: the request's.
        parts: whether its body comes in parts, so that it can be chunked; else it is there whole, and has a length.

    Raises:
        httpx.LocalProtocolError: it has no Host, or more than one, or none that is a host and a port; a
            `Transfer-Encoding` that is not how its body goes out, or one beside a `Content-Length`; two of these.
    """
    found: dict[bytes, list[bytes]] = {b"host": [], b"content-length": [], b"transfer-encoding": []}
    for name, value in headers:
        values = found.get(name.lower())
        if values is not None:
            values.append(value)
    hosts, lengths, codings = found.values()
    if len(hosts) != 1 or not _HOST.fullmatch(hosts[0]):
        raise httpx.LocalProtocolError("the request must have one Host header, which is a host, or a host and a port")
    if codings:
        if lengths or not parts or len(codings) > 1 or codings[0].strip(b" \t").lower() != b"chunked":
            raise httpx.LocalProtocolError(
                "the Transfer-Encoding of the request is not how its body goes out; leave that header to httpx"
            )
        return None
    if len(lengths) > 1 or not _LENGTH.fullmatch((lengths or [b"0"])[0]):
        raise httpx.LocalProtocolError("the Content-Length of the request must be one number")
    return int(lengths[0]) if lengths else 0


async def chunked(parts: AsyncIterable[bytes]) -> AsyncGenerator[bytes, None]:
    """Frame a body of unknown length (RFC 9112, section 7.1). Close it: what it comes from is closed with it."""
    async with _closing(parts) as source:
        async for part in source:
            if part:
                yield b"%x\r\n%b\r\n" % (len(part), part)
    yield b"0\r\n\r\n"


async def measured(parts: AsyncIterable[bytes], length: int) -> AsyncGenerator[bytes, None]:
    """Pass a body on that must be as long as its `Content-Length` said. Close it, as above.

    Raises:
        httpx.LocalProtocolError: it is not.
    """
    left = length
    async with _closing(parts) as source:
        async for part in source:
            left -= len(part)
            if left < 0:
                break
            yield part
    if left:
        raise httpx.LocalProtocolError("the body of the request is not as long as its Content-Length")


def _closing(parts: AsyncIterable[bytes]) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
    """Close a generator at the end: one that is left to the garbage collector makes trio complain."""
    source = aiter(parts)
    return aclosing(source) if isinstance(source, AsyncGenerator) else nullcontext(source)

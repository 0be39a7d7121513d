"""What goes out: the head of a request in bytes, and the framing of its body."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext

import httpx

__all__ = ["chunked", "head_of", "measured"]

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_TARGET = re.compile(rb"[!-~]+")
_VALUE = re.compile(rb"[\t -~\x80-\xff]*")


def head_of(method: str, target: bytes, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return the head of a request.

    Raises:
        httpx.LocalProtocolError: it would break HTTP: a line break in a header, a space in the target.
    """
    verb = method.encode("ascii", "replace")
    if not _TOKEN.fullmatch(verb) or not _TARGET.fullmatch(target):
        raise httpx.LocalProtocolError("the method or the target of the request is malformed")
    lines = [b"%b %b HTTP/1.1\r\n" % (verb, target)]
    for name, value in headers:
        if not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
            raise httpx.LocalProtocolError("a header of the request is malformed: its name, or a control character")
        lines.append(b"%b: %b\r\n" % (name, value))
    lines.append(b"\r\n")
    return b"".join(lines)


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

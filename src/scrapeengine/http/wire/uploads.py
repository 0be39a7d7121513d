"""Bodies that are read while they are sent: of files, of iterables, of forms with files in them.

What a caller's own generator or file raises leaves as it is: it is wrapped in `CallersError` on its way through the
layers, each of which translates what it takes for the connector's.
"""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import aclosing, contextmanager
from typing import Any

import attrs
import trio

__all__ = ["CallersError", "Upload", "callers_error_in", "of_content", "of_form"]

_PIECE = 64 * 1024
"""The bytes that are read of a file at once."""
_QUICK = (io.BytesIO, io.FileIO, io.BufferedReader, io.BufferedRandom, tempfile.SpooledTemporaryFile)
"""Files whose end is found at once."""


class CallersError(BaseException):
    """An exception of a caller's own generator or file; no `Exception`, so that no layer takes it for the wire's."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error: Exception | None = error

    def taken(self) -> Exception:
        """Return what was raised, to be raised where no other exception is handled: it has no context but its own."""
        error, self._error = self._error, None
        assert error is not None
        return error


def callers_error_in(group: BaseExceptionGroup[BaseException]) -> CallersError | None:
    """Return what the caller's own code has raised, if a group has nothing else in it."""
    found, rest = group.split(CallersError)
    first: BaseException | None = found
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return first if rest is None and isinstance(first, CallersError) else None


@attrs.define(eq=False)
class Upload:
    """A body that is read while it is sent."""

    length: int | None
    """Its bytes; None: not known before it is read."""
    _read: Callable[[], AsyncGenerator[bytes, None]]
    """Reads it from its beginning."""
    _again: bool
    """Whether it can be read more than once."""
    _begun: bool = attrs.field(default=False, init=False)

    @property
    def renewable(self) -> bool:
        """Whether it can be sent now: it was not begun yet, or can be read anew."""
        return self._again or not self._begun

    async def parts(self) -> AsyncGenerator[bytes, None]:
        """Read it from its beginning. Close it: what it reads from is closed with it, if it is a generator."""
        self._begun = True
        async with aclosing(self._read()) as parts:
            async for part in parts:
                yield part


def of_content(content: Any) -> Upload | None:
    """Return the upload of a file, or of an iterable of bytes, async or not; None if it is neither.

    Raises:
        TypeError: it is a file in text mode, or a mapping.
    """
    file = getattr(content, "wrapped", content)  # trio's files have the plain one below them
    if callable(getattr(file, "read", None)):
        return _of_file(file)
    if isinstance(content, Mapping):
        raise TypeError("content=… takes bytes, and got a mapping; write json=… or data=…")
    if isinstance(content, AsyncIterable):
        once = isinstance(content, AsyncIterator)
        return Upload(None, lambda: _from_async(content), not once)
    if isinstance(content, Iterable):
        once = iter(content) is content
        return Upload(None, lambda: _from_iterable(content), not once)
    return None


def of_form(parts: Iterable[bytes], length: int | None, files: Iterable[Any]) -> Upload:
    """Return the upload of a form with files in it.

    Args:
        parts: reads it from its beginning, each time that it is iterated.
        length: its bytes; None: not known.
        files: those that it is read from.
    """
    return Upload(length, lambda: _from_form(parts), all(_can_seek(file) for file in files))


def _of_file(file: Any) -> Upload:
    if isinstance(file, io.TextIOBase):
        raise TypeError("content=… takes files in binary mode; write open(path, 'rb')")
    start = length = None
    try:
        if file.seekable():
            start = file.tell()
            # To others, such as gzip's, the end is a long way: they are read as they go.
            if isinstance(getattr(file, "file", file), _QUICK):
                length = max(0, file.seek(0, os.SEEK_END) - start)
                file.seek(start)
    except (AttributeError, OSError):
        start = length = None
    return Upload(length, lambda: _from_file(file, start, length), start is not None)


def _can_seek(file: Any) -> bool:
    try:
        return bool(file.seekable())
    except (AttributeError, ValueError):
        return False


async def _from_file(file: Any, start: int | None, length: int | None) -> AsyncGenerator[bytes, None]:
    """Read a file off the loop, from where it stood; no more of it than it had, should it have grown."""
    left = length
    if start is not None:
        await _off_the_loop(file.seek, start)
    while left is None or left:
        part = await _off_the_loop(file.read, _PIECE if left is None else min(left, _PIECE))
        if not part:
            return
        if left is not None:
            left -= len(part)
        yield _bytes(part)


async def _from_async(parts: AsyncIterable[Any]) -> AsyncGenerator[bytes, None]:
    with _callers():
        source = aiter(parts)
    try:
        while True:
            with _callers():
                try:
                    part = await anext(source)
                except StopAsyncIteration:
                    return
            yield _bytes(part)
    finally:
        if isinstance(source, AsyncGenerator):
            with _callers():
                await source.aclose()


async def _from_iterable(parts: Iterable[Any]) -> AsyncGenerator[bytes, None]:
    with _callers():
        source = iter(parts)
    while True:
        await trio.lowlevel.checkpoint()
        with _callers():
            try:
                part = next(source)
            except StopIteration:
                return
        yield _bytes(part)


async def _off_the_loop(function: Callable[..., Any], *args: Any) -> Any:
    with _callers():
        return await trio.to_thread.run_sync(function, *args)


def _bytes(part: Any) -> bytes:
    if isinstance(part, bytes):
        return part
    if isinstance(part, bytearray | memoryview):
        return bytes(part)
    raise CallersError(TypeError(f"content=… must give bytes, and gave {type(part).__name__}; write text.encode()"))


@contextmanager
def _callers() -> Iterator[None]:
    """Let what the caller's own code raises pass through all layers."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the caller's
        raise CallersError(error) from None


async def _from_form(form: Iterable[bytes]) -> AsyncGenerator[bytes, None]:
    parts = iter(form)
    while (part := await _off_the_loop(next, parts, None)) is not None:
        yield part

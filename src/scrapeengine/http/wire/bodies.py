"""What requests carry: a scraper's arguments made into a body, in bytes or read while it is sent.

    content=  bytes, text ──────────────────> bytes
              a file in binary mode ────────> read off the loop; anew from where it stood, if it can seek
              an async or plain iterable ───> read as it goes; anew if it is no iterator
    data=, json= ───────────────────────────> bytes
    files= ─────────────────────────────────> bytes, or read off the loop where files are among them

Wrong types are a `TypeError` that says what to write. What a caller's own generator or file raises leaves as it is: it
is wrapped in `CallersError` on its way through the layers, each of which translates what it takes for the connector's.
"""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import aclosing, contextmanager
from typing import Any
from urllib.parse import urlencode

import attrs
import httpx
import trio

__all__ = ["CallersError", "NotEncodable", "RequestBody", "Upload", "body_of", "form"]

_PIECE = 64 * 1024
"""The bytes that are read of a file at once."""
_NOWHERE = "http://body/"


class CallersError(BaseException):
    """What a caller's own generator or file has raised; no `Exception`, so that no layer takes it for the wire's."""

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


class NotEncodable(ValueError):
    """A value of the right type cannot be sent: a lone surrogate in a text, an endless structure as JSON. Says why."""


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


@attrs.frozen
class RequestBody:
    """What a request carries."""

    data: bytes = b""
    upload: Upload | None = None
    headers: dict[str, str] = attrs.field(factory=dict)
    """What the request says of it, its framing excluded."""

    @property
    def empty(self) -> bool:
        """Whether it has nothing at all."""
        return self.upload is None and not self.data


def body_of(content: Any, data: Any, files: Any, json: Any) -> RequestBody | None:
    """Make the body of a request; None if nothing is given.

    Raises:
        TypeError: an argument is of the wrong type, or there are several that make a body each.
        NotEncodable: a value cannot be sent.
    """
    if files is not None and not isinstance(files, Mapping | list | tuple):
        raise TypeError(_FILES)
    kinds = {"content": content is not None, "json": json is not None, "data": data is not None or bool(files)}
    if sum(kinds.values()) > 1:
        names = " and ".join(f"{name}=…" for name, given in kinds.items() if given)
        raise TypeError(f"a request has one body, and got {names}; write one of them (files=… goes with data=…)")
    if content is not None:
        return _raw(content)
    if json is not None:
        return _as_json(json)
    if files:
        return _multipart({} if data is None else data, files)
    return None if data is None else _as_form(data)


# -- content


def _raw(content: Any) -> RequestBody:
    if isinstance(content, bytes):
        return RequestBody(content)
    if isinstance(content, str):
        with _encoding("content=…"):
            return RequestBody(content.encode())
    if isinstance(content, bytearray | memoryview):
        return RequestBody(bytes(content))
    file = getattr(content, "wrapped", content)  # trio's files have the plain one below them
    if callable(getattr(file, "read", None)):
        return RequestBody(upload=_of_file(file))
    if isinstance(content, Mapping):
        raise TypeError("content=… takes bytes, and got a mapping; write json=… or data=…")
    if isinstance(content, AsyncIterable):
        once = isinstance(content, AsyncIterator)
        return RequestBody(upload=Upload(None, lambda: _from_async(content), not once))
    if isinstance(content, Iterable):
        once = iter(content) is content
        return RequestBody(upload=Upload(None, lambda: _from_iterable(content), not once))
    raise TypeError(
        f"content=… takes bytes, a text, a file that is open in binary mode, or an (async) iterable of bytes, "
        f"and got {type(content).__name__}"
    )


_QUICK = (io.BytesIO, io.FileIO, io.BufferedReader, io.BufferedRandom, tempfile.SpooledTemporaryFile)
"""Files whose end is found at once."""


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


# -- data, json


def form(pairs: Mapping[Any, Any] | Iterable[Any], name: str) -> str:
    """Write pairs as a query has them; a list of values is one pair each, True and False are as JSON has them.

    Raises:
        TypeError: they are no pairs of texts and values.
        NotEncodable: a text has a lone surrogate.
    """
    written = []
    for pair in pairs.items() if isinstance(pairs, Mapping) else pairs:
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise TypeError(f"{name}=… takes a mapping or pairs, and got {type(pair).__name__} for one; {_PAIRS}")
        key, value = pair
        many = isinstance(value, Sequence | set | frozenset) and not isinstance(
            value, str | bytes | bytearray | memoryview
        )
        with _encoding(f"{name}=…"):  # a number may have more digits than Python writes
            written += [(_word(key, name), _word(each, name)) for each in (value if many else (value,))]
    with _encoding(f"{name}=…"):
        return urlencode(written)


_PAIRS = "write {'key': 'value'} or [('key', 'value'), …]"


def _word(value: Any, name: str) -> str | bytes:
    match value:
        case str() | bytes():
            return value
        case bytearray() | memoryview():
            return bytes(value)
        case bool():
            return "true" if value else "false"
        case None:
            return ""
        case Mapping() | list() | tuple():
            raise TypeError(
                f"{name}=… takes texts and numbers, and got {type(value).__name__}; nested ones go as json=…"
            )
        case _:
            return str(value)


def _as_form(data: Any) -> RequestBody:
    if isinstance(data, str | bytes | bytearray | memoryview):
        raise TypeError(f"data=… is a form, and got {type(data).__name__}; what is sent as it is goes as content=…")
    if not isinstance(data, Mapping | Iterable):
        raise TypeError(f"data=… takes a mapping or pairs, and got {type(data).__name__}; {_PAIRS}")
    text = form(data, "data")
    return RequestBody(text.encode(), headers={"content-type": "application/x-www-form-urlencoded"})


def _as_json(json: Any) -> RequestBody:
    with _encoding("json=…"):
        try:
            request = httpx.Request("POST", _NOWHERE, json=json)
        except TypeError as error:
            raise TypeError(f"json=… cannot be written as JSON: {error}") from None
    return RequestBody(request.content, headers={"content-type": "application/json"})


# -- files


def _multipart(data: Any, files: Any) -> RequestBody:
    pairs = _list_of(files)
    sources = [source for source in (_source(given) for _, given in pairs) if source is not None]
    for source in sources:
        if getattr(source, "closed", False):
            source.read(0)  # says so itself
    with _encoding("files=…"):
        try:
            request = httpx.Request("POST", _NOWHERE, data=_by_key(data), files=pairs)
            stream: Any = request.stream
            whole = None if sources else b"".join(stream)
        except UnicodeError:
            raise
        except Exception:  # noqa: BLE001 - of the many that it raises, some quote what is sent
            raise TypeError(_FILES) from None
    headers = {"content-type": request.headers["content-type"]}
    if whole is not None:
        return RequestBody(whole, headers=headers)
    length = request.headers.get("content-length")
    again = all(_can_seek(source) for source in sources)
    return RequestBody(
        upload=Upload(None if length is None else int(length), lambda: _from_multipart(stream), again), headers=headers
    )


_FILES = (
    "files=… takes a mapping or pairs of names to bytes, texts or files in binary mode, alone or as "
    "(filename, content, content_type); write {'field': open(path, 'rb')}"
)


def _list_of(files: Any) -> list[tuple[str, Any]]:
    pairs = list(files.items()) if isinstance(files, Mapping) else files
    if not isinstance(pairs, list | tuple) or not all(
        isinstance(pair, tuple | list) and len(pair) == 2 for pair in pairs
    ):
        raise TypeError(_FILES)
    return [(key, given) for key, given in pairs]


def _by_key(data: Any) -> dict[str, Any]:
    """Put pairs into the form in which httpx takes them beside files."""
    if isinstance(data, Mapping):
        return dict(data)
    _as_form(data)  # refuses what is none
    found: dict[str, Any] = {}
    for key, value in data:
        found.setdefault(key, []).extend(value if isinstance(value, list | tuple) else [value])
    return found


def _source(given: Any) -> Any:
    """Return the file of a field; None if it is in memory."""
    content = given[1] if isinstance(given, tuple) and len(given) > 1 else given
    return content if hasattr(content, "read") else None


def _can_seek(file: Any) -> bool:
    try:
        return bool(file.seekable())
    except (AttributeError, ValueError):
        return False


async def _from_multipart(stream: Iterable[bytes]) -> AsyncGenerator[bytes, None]:
    parts = iter(stream)
    while (part := await _off_the_loop(next, parts, None)) is not None:
        yield part


@contextmanager
def _encoding(what: str) -> Iterator[None]:
    """Raise `NotEncodable` for what keeps a value of the right type from being written."""
    try:
        yield
    except UnicodeError:
        raise NotEncodable(f"{what} has a character that cannot be encoded, such as half of a pair") from None
    except RecursionError:
        raise NotEncodable(f"{what} is nested too deeply, or holds itself") from None
    except ValueError as error:
        raise NotEncodable(f"{what} cannot be written: {error}") from None

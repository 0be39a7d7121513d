"""Bodies of requests: a scraper's arguments made into bytes, or into an upload, which is read while it is sent.

    content=  bytes, text ──────────────────> bytes
              a file in binary mode ────────> read off the loop; anew from where it stood, if it can seek
              an async or plain iterable ───> read as it goes; anew if it is no iterator
    data=, json= ───────────────────────────> bytes
    files= ─────────────────────────────────> bytes, or read off the loop where files are among them

Wrong types are a `TypeError` that says what to write.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

import attrs
import httpx

from scrapeengine.http.wire.uploads import Upload, of_content, of_form

__all__ = ["NotEncodable", "RequestBody", "body_of", "form"]

_NOWHERE = "http://body/"


class NotEncodable(ValueError):
    """A value of the right type cannot be sent: a lone surrogate in a text, an endless structure as JSON. Says why."""


@attrs.frozen
class RequestBody:
    """The body of a request."""

    data: bytes = b""
    upload: Upload | None = None
    headers: dict[str, str] = attrs.field(factory=dict)
    """The headers that say what it is, its framing excluded."""

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
    upload = of_content(content)
    if upload is not None:
        return RequestBody(upload=upload)
    raise TypeError(
        f"content=… takes bytes, a text, a file that is open in binary mode, or an (async) iterable of bytes, "
        f"and got {type(content).__name__}"
    )


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
    return RequestBody(upload=of_form(stream, None if length is None else int(length), sources), headers=headers)


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

"""Spools: rows of typed columns that wait to become a part of Parquet, which can be read at its end only.

A spool is a stream of Arrow's (its IPC streaming format): a first message with the schema, and one for each flush. So
what is torn off can be told, and the part is made of a spool alone, by nothing that anybody would have to remember.
A word in the schema's metadata tells a spool from all others; the part of it has that too.
"""

from __future__ import annotations

import importlib
import os
from functools import cache
from typing import Any

import attrs

__all__ = ["ID", "Spooled", "arrow", "named", "word_of"]

ID = b"scrapeengine.spool"
"""Under what the word is, in the metadata of schemas."""
_WORD = 8


@cache
def arrow(module: str = "pyarrow") -> Any:
    """Import a module of pyarrow.

    Raises:
        ImportError: it is not installed; says what to install.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError("a file of Parquet needs pyarrow: pip install 'scrapeengine[parquet]'") from error


def word_of(metadata: dict[bytes, bytes] | None) -> int:
    """Return the word of a spool, or of its part; 0: it has none."""
    try:
        return int((metadata or {}).get(ID, b"0"), 16)
    except ValueError:
        return 0


def named(schema: Any) -> Any:
    """Give a schema a word of its own."""
    return schema.with_metadata({ID: os.urandom(_WORD).hex().encode()})


@attrs.frozen
class Spooled:
    """Parts are messages of a stream. Implements `codecs.Codec`."""

    def part(self, data: bytes) -> bytes:
        """See `Codec`."""
        return data

    def whole(self, file: int) -> int:
        """See `Codec`. All of the file is read; one without a row behind its schema has nothing."""
        ends = [0]
        with os.fdopen(os.dup(file), "rb") as stream:
            stream.seek(0)
            while (end := _next_end(stream)) > ends[-1]:
                ends = [ends[-1], end]
        return ends[-1] if ends[0] else 0

    def head(self, file: int) -> bytes:
        """See `Codec`: the message with the schema."""
        with os.fdopen(os.dup(file), "rb") as stream:
            stream.seek(0)
            end = _next_end(stream)
        return os.pread(file, end, 0)


def _next_end(stream: Any) -> int:
    """Read one message, and return where it ends; 0: there is none that is whole."""
    source = arrow().PythonFile(stream, "r")
    try:
        arrow("pyarrow.ipc").read_message(source)
    except (EOFError, OSError, ValueError):  # at the end, torn in its body, torn before that
        return 0
    end: int = stream.tell()
    return end

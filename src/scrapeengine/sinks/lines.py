"""Files that lines are added to, by several processes in turn. What is here blocks: call it in a thread."""

from __future__ import annotations

import fcntl
import os
import re
from pathlib import Path

from scrapeengine.sinks.endings import sync_folder

__all__ = ["add_lines", "locked", "whole_lines", "whole_rows"]

_BLOCK = 65536
_OPENS = re.compile(rb'(?:^|,)"')
"""A quote at the start of a field; others are characters as any (RFC 4180)."""
_CLOSES = re.compile(rb'(?:[^"]++|"")*+"')
"""The rest of a quoted field, to its last quote."""


def add_lines(path: str, lines: bytes) -> None:
    """Add whole lines to a file, made for its user alone if it is not there, and see that they are on the disk.

    A last line that is torn, for who was writing it has died, is cut off first: nobody was told that it is there.

    Raises:
        OSError: they could not be added. Then none is there.
    """
    file = locked(path, os.O_CREAT | os.O_APPEND)
    try:
        end = whole_lines(file)
        os.ftruncate(file, end)
        try:
            rest = memoryview(lines)
            while rest:
                rest = rest[os.write(file, rest) :]
            os.fsync(file)
            if end == 0:
                sync_folder(Path(path).parent)  # it may have been made here
        except OSError:
            os.ftruncate(file, end)
            raise
    finally:
        os.close(file)


def locked(path: str, flags: int = 0) -> int:
    """Open a file, once nobody else adds to it, or replaces it; with more flags of `os.open`, if there are any.

    Raises:
        OSError: it cannot be opened.
    """
    while True:
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC | flags, 0o600)
        fcntl.flock(file, fcntl.LOCK_EX)
        if _is_at(file, path):
            return file
        os.close(file)  # it was replaced meanwhile


def _is_at(file: int, path: str) -> bool:
    """Say whether an open file is the one at a path."""
    try:
        return os.path.samestat(os.fstat(file), os.stat(path))  # noqa: PTH116 - paths are texts here
    except FileNotFoundError:
        return False


def whole_lines(file: int) -> int:
    """Return where the last whole line of a file ends."""
    end = os.fstat(file).st_size
    while end > 0:
        first = max(0, end - _BLOCK)
        found = os.pread(file, end - first, first).rfind(b"\n")
        if found >= 0:
            return first + found + 1
        end = first
    return 0


def whole_rows(file: int) -> int:
    """Return where the last whole row of a file of CSV ends: a line that ends in no cell. All of it is read."""
    end, at, inside = 0, 0, False
    with os.fdopen(os.dup(file), "rb") as lines:
        lines.seek(0)
        for line in lines:
            at += len(line)
            inside = (inside or b'"' in line) and _ends_inside(line, inside=inside)
            if not inside and line.endswith(b"\n"):
                end = at
    return end


def _ends_inside(line: bytes, *, inside: bool) -> bool:
    """Say whether a line ends inside of a quoted cell, where it begins there or not."""
    at = 0
    while True:
        if not inside:
            opens = _OPENS.search(line, at)
            if opens is None:
                return False
            at = opens.end()
        closes = _CLOSES.match(line, at)
        if closes is None:
            return True
        at, inside = closes.end(), False

"""Notes of whose scrapers run in this process, which outlive it."""

from __future__ import annotations

import os

__all__ = ["StartsFile", "tokens_in"]

_BYTES = 8
_NONE = bytes(_BYTES)


class StartsFile:
    """A file with a place for each job whose scraper runs now: eight bytes, the token of its lease, or none.

    What a process has written into a file is there when it was killed, and is not after a power cut: just the deaths
    that count. To write eight bytes takes a microsecond, and needs neither a transaction nor a thread. Called in the
    loop, but for `open`.

    Rejected: to map the file into memory. On a full disk a write to it kills the process. Rejected too: to have the
    store know of each start. A job that kills its process at once is dead before any commit.
    """

    def __init__(self) -> None:
        self._file: int | None = None
        self._old: list[int] = []
        self._places: dict[int, int] = {}
        """By token."""
        self._free: list[int] = []
        self._length = 0

    def open(self, path: str, mode: int) -> None:
        """Make the file, with what runs already. In a thread; the loop goes on with the one before meanwhile.

        Raises:
            OSError: it cannot be made.
        """
        file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, mode)
        if self._file is not None:
            self._old.append(self._file)  # the loop may be at it: its number must not become another file's
        for token, place in list(self._places.items()):
            os.pwrite(file, token.to_bytes(_BYTES, "little"), place * _BYTES)
        self._file = file

    def begin(self, token: int) -> None:
        """See `Starts`."""
        if self._free:
            place = self._free.pop()
        else:
            place, self._length = self._length, self._length + 1
        self._places[token] = place
        self._write(place, token.to_bytes(_BYTES, "little"))

    def end(self, token: int) -> None:
        """See `Starts`."""
        place = self._places.pop(token, None)
        if place is not None:
            self._free.append(place)
            self._write(place, _NONE)

    def close(self) -> None:
        """Close the file; what is told from now on is written nowhere."""
        files, self._file, self._old = [self._file, *self._old], None, []
        for file in files:
            if file is not None:
                os.close(file)

    def _write(self, place: int, what: bytes) -> None:
        if self._file is not None:
            # Where the disk is full a death goes uncounted; no task must fail for that.
            try:  # noqa: SIM105 - `suppress` takes as long as the writing
                os.pwrite(self._file, what, place * _BYTES)
            except OSError:
                pass


def tokens_in(path: str) -> frozenset[int]:
    """Return the tokens in a file of a process that has died; none where it is not there."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - as the others here
            held = file.read()
    except OSError:
        return frozenset()
    ends = range(_BYTES, len(held) + 1, _BYTES)
    return frozenset(int.from_bytes(held[end - _BYTES : end], "little") for end in ends) - {0}

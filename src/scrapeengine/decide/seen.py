"""The tasks that were seen: a packed set of digests, for runs in which millions of ids are to be remembered.

A set of texts takes 114 bytes an id and more. Here it is 12 bytes, in tables with room to spare: 16 to 32 an id once
there are some ten thousand of them. A digest has 96 bits and is made under a key of the run (BLAKE2b, RFC 7693), so
that nobody can choose ids that collide; of 10⁶ ids two collide by chance with a probability of 10⁻¹⁷. It matters, for a
collision would drop a task in silence.

There are 1,024 tables, by the first bits of the digest, each with open addressing (Knuth, volume 3, 6.4, algorithm L).
A table is made anew when it is three quarters full: a thousandth of all, so no id that comes waits for long.

Rejected: a Bloom filter, which drops tasks at a rate that one has to choose; one large table, whose growth stops the
loop for half a second; sorted texts on disk, which every `task.follow` would wait for.
"""

from __future__ import annotations

from hashlib import blake2b

__all__ = ["SeenTasks"]

_SIZE = 12
"""The bytes of a digest."""
_EMPTY = bytes(_SIZE)
_FIRST = 16
"""The places of a table at first."""


class SeenTasks:
    """A set of tasks, by platform and id. Nothing is ever taken out."""

    def __init__(self, key: bytes = b"") -> None:
        """Make an empty one.

        Args:
            key: up to 64 bytes that nobody knows who chooses ids.
        """
        self._key = key
        self.tables: dict[int, bytearray] = {}
        """The tables by their numbers; none before the first task is added."""
        self._counts: dict[int, int] = {}

    def __len__(self) -> int:
        """Count the tasks."""
        return sum(self._counts.values())

    @property
    def bytes_held(self) -> int:
        """The bytes of the tables."""
        return sum(map(len, self.tables.values()))

    def has(self, platform: str, id: str) -> bool:
        """Say whether a task was added."""
        digest = self._digest(platform, id)
        table = self.tables.get(_number(digest))
        return table is not None and _place(table, digest) is None

    def add(self, platform: str, id: str) -> bool:
        """Add a task; whether it is new."""
        digest = self._digest(platform, id)
        number = _number(digest)
        table = self.tables.get(number)
        if table is None:
            table = self.tables[number] = bytearray(_FIRST * _SIZE)
            self._counts[number] = 0
        place = _place(table, digest)
        if place is None:
            return False
        table[place : place + _SIZE] = digest
        self._counts[number] += 1
        if 4 * _SIZE * self._counts[number] >= 3 * len(table):
            self.tables[number] = _grown(table)
        return True

    def _digest(self, platform: str, id: str) -> bytes:
        # With the length in front no two pairs are one text.
        name = platform.encode("utf-8", "surrogatepass")
        text = b"%d:%b%b" % (len(name), name, id.encode("utf-8", "surrogatepass"))
        digest = blake2b(text, digest_size=_SIZE, key=self._key).digest()
        return digest if digest != _EMPTY else b"\1" * _SIZE

    def __repr__(self) -> str:
        """Count the tasks."""
        return f"<SeenTasks {len(self)}>"


def _number(digest: bytes) -> int:
    """Return the number of a digest's table: its first ten bits."""
    return digest[0] << 2 | digest[1] >> 6


def _place(table: bytearray, digest: bytes) -> int | None:
    """Return where a digest is to be put; None: it is there."""
    size = len(table)
    place = int.from_bytes(digest[4:8], "little") * _SIZE % size
    while True:
        found = table[place : place + _SIZE]
        if found == digest:
            return None
        if found == _EMPTY:
            return place
        place = (place + _SIZE) % size


def _grown(table: bytearray) -> bytearray:
    """Return a table twice as large."""
    grown = bytearray(2 * len(table))
    for start in range(0, len(table), _SIZE):
        digest = bytes(table[start : start + _SIZE])
        if digest != _EMPTY:
            place = _place(grown, digest)
            assert place is not None
            grown[place : place + _SIZE] = digest
    return grown

"""Sums that are kept in step with the jobs: counts, the trie of ranks, and running numbers.

A transaction reads no sum but those that it needs. What its calls change is added up here and written once, before the
commit: a job that comes and goes in one transaction costs nothing.

The place of a job in its queue is read from a trie of counts. The key of a ready job has 96 bits: its urgency,
`2**63 - 1 - priority`, and then its arrival number without the last eight bits. Smaller keys are claimed sooner. The
trie has eight levels of twelve bits; a node counts the ready jobs below it. Before a job come, on each level, those
with the same prefix and a smaller digit: at most 4,095 nodes each, however many jobs there are. The last 256 arrivals
are counted one by one.

Rejected: to count the jobs before it, which takes as long as the queue is; and a numbered list, which has to be
renumbered behind each job that comes or goes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import attrs

from scrapeengine.stores.sqlite.driver import fetch

if TYPE_CHECKING:
    from apsw import Connection

__all__ = ["BUCKET", "Sums", "path"]

T = TypeVar("T")
BUCKET = 256
"""The arrivals that share a leaf of the trie."""
_LEVELS, _DIGIT, _ARRIVAL = 8, 12, 32
_BITS = _LEVELS * _DIGIT
_BEFORE = "SELECT ifnull(sum(n), 0) FROM ranks WHERE platform = ? AND level = ? AND prefix = ? AND digit < ?"
_BUCKET = "SELECT count(*) FROM jobs WHERE status = 0 AND platform = ? AND priority = ? AND seq >= ? AND seq < ?"
_PLATFORMS = "SELECT platform, n FROM counts WHERE status = ? AND n > 0"
_MOST = 5_000
"""The leaves of the trie that a call changes before they are written."""


class Node(NamedTuple):
    """A place in the trie."""

    level: int
    prefix: bytes
    """The digits above it."""
    digit: int


class Leaf(NamedTuple):
    """A leaf of the trie."""

    platform: str
    priority: int
    bucket: int


@attrs.define(eq=False)
class Changes:
    """Changes that are not written yet."""

    counts: dict[tuple[str, int], int] = attrs.field(factory=dict)
    """By platform and status. Here and below plain dicts: a `Counter` calls Python for each key that it has not yet."""
    ranks: dict[Leaf, int] = attrs.field(factory=dict)
    """By leaf: what it adds to the nodes above is found out when it is written."""
    numbers: dict[str, int] = attrs.field(factory=dict)
    """By name."""

    def add(self, others: Changes) -> None:
        """Add others."""
        _add(self.counts, others.counts)
        _add(self.ranks, others.ranks)
        _add(self.numbers, others.numbers)


class Sums:
    """The sums of one transaction."""

    def __init__(self, db: Connection) -> None:
        self._db = db
        self.numbers: Mapping[str, float] = dict(fetch(db, "SELECT name, value FROM numbers"))
        """All running numbers as they were when the transaction began, those of others too."""
        self._settled = Changes()
        self._open = Changes()
        self._early = False
        self._others: Mapping[str, float] = {}

    def begin(self) -> None:
        """Begin a call: what the last one has changed and not settled is forgotten."""
        self._open = Changes()

    def settle(self) -> None:
        """Let what the call has changed stand."""
        self._settled.add(self._open)
        self._open = Changes()

    def count(self, platform: str, status: int, n: int) -> None:
        """Count `n` more jobs."""
        counts = self._open.counts
        counts[platform, status] = counts.get((platform, status), 0) + n

    def rank(self, platform: str, priority: int, seq: int, n: int) -> None:
        """Let `n` more jobs stand at a place."""
        ranks = self._open.ranks
        leaf = Leaf(platform, priority, seq // BUCKET)
        ranks[leaf] = ranks.get(leaf, 0) + n
        if len(ranks) > _MOST:
            # In the savepoint of the call, to which it belongs: it is taken back with it.
            self._early = True
            self._write_ranks(ranks)
            ranks.clear()

    def add(self, name: str, n: int) -> int:
        """Add `n` to a number, and return it."""
        numbers = self._open.numbers
        more = numbers[name] = numbers.get(name, 0) + n
        return int(self.numbers.get(name, 0)) + self._settled.numbers.get(name, 0) + more

    def number(self, name: str) -> int:
        """Return a number."""
        value = int(self.numbers.get(name, 0))
        return value + self._settled.numbers.get(name, 0) + self._open.numbers.get(name, 0)

    def counts(self) -> dict[str, Counter[int]]:
        """Return all counts, by platform and status."""
        found: dict[str, Counter[int]] = {}
        for platform, status, n in fetch(self._db, "SELECT platform, status, n FROM counts"):
            found.setdefault(platform, Counter())[status] = n
        for changes in (self._settled, self._open):
            for (platform, status), n in changes.counts.items():
                found.setdefault(platform, Counter())[status] += n
        return found

    def by_platform(self, status: int) -> dict[str, int]:
        """Count the jobs of a status, for the platforms that have any."""
        found = Counter(dict(fetch(self._db, _PLATFORMS, (status,))))
        for changes in (self._settled, self._open):
            for (platform, code), n in changes.counts.items():
                if code == status:
                    found[platform] += n
        return {platform: n for platform, n in found.items() if n > 0}

    def before(self, platform: str, priority: int, seq: int) -> int:
        """Count the jobs that stand before a place."""
        bucket, total = seq // BUCKET, 0
        for node in path(priority, bucket):
            total += _one(self._db, _BEFORE, (platform, *node))
        for changes in (self._settled, self._open):
            for leaf, n in changes.ranks.items():
                if leaf.platform == platform and (-leaf.priority, leaf.bucket) < (-priority, bucket):
                    total += n
        return total + _one(self._db, _BUCKET, (platform, priority, bucket * BUCKET, seq))

    def put(self, numbers: Mapping[str, float]) -> None:
        """Have numbers written that are no sums, as they are."""
        self._others = numbers

    def write(self) -> None:
        """Write all that stands. Once, at the end of the transaction."""
        changes = self._settled
        counts = [(*key, n) for key, n in changes.counts.items() if n]
        self._upsert("counts", "platform, status", counts)
        self._write_ranks(changes.ranks)
        # Nobody else writes meanwhile: what was read, and what was added to it since, is what there is.
        numbers = {name: self.number(name) for name, n in changes.numbers.items() if n} | dict(self._others)
        self._db.executemany("REPLACE INTO numbers VALUES (?, ?)", numbers.items())
        self._settled = Changes()

    def _write_ranks(self, ranks: Mapping[Leaf, int]) -> None:
        nodes: Counter[tuple[str, Node]] = Counter()
        for leaf, n in ranks.items():
            if n:
                for node in path(leaf.priority, leaf.bucket):
                    nodes[leaf.platform, node] += n
        rows = [(platform, *node, n) for (platform, node), n in nodes.items() if n]
        self._upsert("ranks", "platform, level, prefix, digit", rows)

    def _upsert(self, table: str, key: str, rows: Sequence[tuple[str | bytes | int, ...]]) -> None:
        if not rows:
            return
        holes = ", ".join("?" * len(rows[0]))
        self._db.executemany(
            f"INSERT INTO {table} VALUES ({holes}) ON CONFLICT DO UPDATE SET n = n + excluded.n",  # noqa: S608
            rows,
        )
        # What was written early may have come before what it takes away from: then an addition makes a 0.
        gone = [row[:-1] for row in rows if self._early or (isinstance(row[-1], int) and row[-1] < 0)]
        where = " AND ".join(f"{column} = ?" for column in key.split(", "))
        self._db.executemany(f"DELETE FROM {table} WHERE {where} AND n = 0", gone)  # noqa: S608


def _add(sums: dict[T, int], others: Mapping[T, int]) -> None:
    for key, n in others.items():
        sums[key] = sums.get(key, 0) + n


def path(priority: int, bucket: int) -> Iterator[Node]:
    """List the nodes from the root to the leaf of the jobs with this priority and bucket of arrivals."""
    key = (2**63 - 1 - priority) << _ARRIVAL | bucket
    for level in range(_LEVELS):
        above = level * _DIGIT
        prefix = (key >> (_BITS - above)).to_bytes((above + 7) // 8, "big")
        yield Node(level, prefix, key >> (_BITS - above - _DIGIT) & (1 << _DIGIT) - 1)


def _one(db: Connection, query: str, bindings: tuple[str | bytes | int, ...]) -> int:
    value: int = fetch(db, query, bindings)[0][0]
    return value

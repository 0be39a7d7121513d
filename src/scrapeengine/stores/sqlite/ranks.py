"""A trie of counts, from which the place of a job in its queue can be read.

The key of a ready job has 96 bits: its urgency, `2**63 - 1 - priority`, and then its arrival number without the last
eight bits. Smaller keys are claimed sooner. The trie has eight levels of twelve bits; a node counts the ready jobs
below it. Before a job come, on each level, those with the same prefix and a smaller digit: at most 4,095 nodes each,
however many jobs there are. The last 256 arrivals are counted one by one.

Rejected: to count the jobs before it, which takes as long as the queue is; and a numbered list, which has to be
renumbered behind each job that comes or goes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["BUCKET", "Node", "path"]

BUCKET = 256
"""The arrivals that share a leaf of the trie."""
_LEVELS, _DIGIT, _ARRIVAL = 8, 12, 32
_BITS = _LEVELS * _DIGIT


class Node(NamedTuple):
    """A place in the trie."""

    level: int
    prefix: bytes
    """The digits above it."""
    digit: int


def path(priority: int, bucket: int) -> Iterator[Node]:
    """List the nodes from the root to the leaf of the jobs with this priority and bucket of arrivals."""
    key = (2**63 - 1 - priority) << _ARRIVAL | bucket
    for level in range(_LEVELS):
        above = level * _DIGIT
        prefix = (key >> (_BITS - above)).to_bytes((above + 7) // 8, "big")
        yield Node(level, prefix, key >> (_BITS - above - _DIGIT) & (1 << _DIGIT) - 1)

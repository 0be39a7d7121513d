"""A sketch of many numbers: their quantiles within 1 %, in constant memory. Pure.

It is a DDSketch (Masson, Rim and Lee, "DDSketch: A Fast and Fully-Mergeable Quantile Sketch with Relative-Error
Guarantees", PVLDB 12, 2019). Bucket i counts the numbers in (g**(i-1), g**i], where g = (1 + a) / (1 - a). What stands
for all of them, 2 * g**i / (g + 1), is off by a share of `a` at most, at either end. So any quantile is too: the number
that it asks for is in the bucket at which the counts, added up from the smallest, reach its rank.

Invariants: there are at most 1,383 buckets, for numbers from a microsecond to a million seconds. What is less counts as
0, and what is more as the greatest number, which is kept as it is. The buckets of two sketches are the same ones, so to
add the counts is to have seen the numbers of both.

Rejected: an HDR histogram, whose error is a number of digits and whose array has its size from the beginning, for each
platform five times; a t-digest, whose error has no bound that holds for all numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import attrs

from scrapeengine.model.figures import Distribution

__all__ = ["ERROR", "Sketch"]

ERROR = 0.01
"""The most by which a quantile is off, as a share of it."""
LEAST, MOST = 1e-6, 1e6
_GROWTH = (1 + ERROR) / (1 - ERROR)
_LOG = math.log(_GROWTH)
_LAST = math.ceil(math.log(MOST) / _LOG)


@attrs.define(eq=False)
class Sketch:
    """Numbers that were seen, none of them less than 0."""

    count: int = attrs.field(default=0, init=False)
    total: float = attrs.field(default=0.0, init=False)
    """Their sum."""
    most: float = attrs.field(default=0.0, init=False)
    """The greatest of them."""
    _tiny: int = attrs.field(default=0, init=False)
    """How many count as 0."""
    _buckets: dict[int, int] = attrs.field(factory=dict, init=False)

    def add(self, number: float) -> None:
        """See a number."""
        self.count += 1
        if number < LEAST:
            self._tiny += 1
            return
        self.total += number
        self.most = max(self.most, number)
        bucket = _LAST if number >= MOST else math.ceil(math.log(number) / _LOG)
        self._buckets[bucket] = self._buckets.get(bucket, 0) + 1

    def merge(self, other: Sketch) -> None:
        """See all that another one has seen."""
        self.count += other.count
        self.total += other.total
        self.most = max(self.most, other.most)
        self._tiny += other._tiny
        for bucket, count in other._buckets.items():
            self._buckets[bucket] = self._buckets.get(bucket, 0) + count

    def quantile(self, share: float) -> float:
        """Return the least number that at least a share of all do not exceed, within `ERROR`; 0 if there is none."""
        return self._quantiles(share)[0]

    def distribution(self) -> Distribution:
        """Freeze what is known of the numbers. From any thread."""
        half, most, nearly_all = self._quantiles(0.5, 0.9, 0.99)
        mean = self.total / self.count if self.count else 0.0
        return Distribution(count=self.count, mean=mean, p50=half, p90=most, p99=nearly_all, most=self.most)

    def histogram(self, bounds: Sequence[float]) -> tuple[list[int], int, float]:
        """Count the numbers up to each of some bounds. From any thread.

        Args:
            bounds: they rise, and are at least `LEAST`. A number that is less than `ERROR` away from one may count on
                its other side.

        Returns:
            How many numbers there are up to each bound; how many in all; their sum.
        """
        buckets, below, counts = sorted(self._buckets.copy().items()), self._tiny, []
        count = below + sum(number for _, number in buckets)
        for bound in bounds:
            while buckets and self._stands_for(buckets[0][0]) <= bound:
                below += buckets.pop(0)[1]
            counts.append(below)
        return counts, count, self.total

    def _quantiles(self, *shares: float) -> list[float]:
        buckets = sorted(self._buckets.copy().items())  # in one step, for others may add meanwhile
        below, found = self._tiny, []
        count, rest = below + sum(number for _, number in buckets), iter(buckets)
        bucket: int | None = None
        for share in sorted(shares):
            rank = max(1, math.ceil(share * count))
            while below < rank:
                step = next(rest, None)
                if step is None:
                    break
                bucket, below = step[0], below + step[1]
            found.append(0.0 if bucket is None else self._stands_for(bucket))
        return found

    def _stands_for(self, bucket: int) -> float:
        if bucket == _LAST:
            return self.most
        return min(self.most, 2 * _GROWTH**bucket / (_GROWTH + 1))

    def __repr__(self) -> str:
        """Count what was seen."""
        return f"<Sketch of {self.count} numbers in {len(self._buckets)} buckets>"

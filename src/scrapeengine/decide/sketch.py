"""A sketch of many numbers: their quantiles within 1 %, in constant memory. Pure.

It is a DDSketch (Masson, Rim and Lee, "DDSketch: A Fast and Fully-Mergeable Quantile Sketch with Relative-Error
Guarantees", PVLDB 12, 2019). Bucket i counts the numbers in (g**(i-1), g**i], where g = (1 + a) / (1 - a). What stands
for all of them, 2 * g**i / (g + 1), is off by a share of `a` at most, at either end. So any quantile is too: the number
that it asks for is in the bucket at which the counts, added up from the smallest, reach its rank.

Invariants: there are at most 1,384 buckets, for numbers from a microsecond to a million seconds. What is less counts as
0, and what is more as the greatest number, which is kept as it is. The buckets of two sketches are the same ones, so to
add the counts is to have seen the numbers of both.

What is added is looked at `AT_ONCE` numbers together: sorted, they fall into few buckets, and each of these is looked
up once. What was looked at is replaced as a whole and never changed, so that another thread
that asks meanwhile sees each number once.

Rejected: an HDR histogram, whose error is a number of digits and whose array has its size from the beginning, for each
platform five times; a t-digest, whose error has no bound that holds for all numbers.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence

import attrs

from scrapeengine.model.figures import Distribution

__all__ = ["AT_ONCE", "ERROR", "Sketch"]

ERROR = 0.01
"""The most by which a quantile is off, as a share of it."""
LEAST, MOST = 1e-6, 1e6
AT_ONCE = 256
"""The numbers that wait to be looked at, at most: 8 kB of them."""
_GROWTH = (1 + ERROR) / (1 - ERROR)
_LOG = math.log(_GROWTH)
_LAST = math.ceil(math.log(MOST) / _LOG)
_OVER = _LAST + 1
"""The bucket of all that is more than the last one holds, for which the greatest of them stands, and for no other."""
_FIRST = math.floor(math.log(LEAST) / _LOG)
_ENDS = [_GROWTH**bucket for bucket in range(_FIRST, _LAST + 1)]
"""The greatest number of each bucket. To look a number up among them is faster than its logarithm, and is never rounded
in two ways."""


@attrs.frozen(eq=False)
class _Seen:
    """What was looked at; never changed."""

    count: int = 0
    total: float = 0.0
    most: float = 0.0
    tiny: int = 0
    """How many count as 0."""
    buckets: Mapping[int, int] = attrs.field(factory=dict)

    def and_numbers(self, numbers: Sequence[float]) -> _Seen:
        """Return what is seen with some numbers more."""
        if not numbers:
            return self
        more = sorted(numbers)
        at = tiny = bisect_left(more, LEAST)
        buckets = dict(self.buckets)
        while at < len(more):
            number = more[at]
            if number > _ENDS[-1]:
                bucket, end = _OVER, len(more)
            else:
                index = bisect_left(_ENDS, number)
                bucket, end = _FIRST + index, bisect_right(more, _ENDS[index], at)
            buckets[bucket] = buckets.get(bucket, 0) + end - at
            at = end
        most = max(self.most, more[-1] if more[-1] >= LEAST else 0.0)
        return _Seen(self.count + len(more), self.total + sum(more), most, self.tiny + tiny, buckets)

    def and_seen(self, other: _Seen) -> _Seen:
        """Return what both have seen."""
        buckets = dict(self.buckets)
        for bucket, count in other.buckets.items():
            buckets[bucket] = buckets.get(bucket, 0) + count
        count, total, tiny = self.count + other.count, self.total + other.total, self.tiny + other.tiny
        return _Seen(count, total, max(self.most, other.most), tiny, buckets)

    def stands_for(self, bucket: int) -> float:
        """Return the number that stands for all of a bucket."""
        return self.most if bucket == _OVER else min(self.most, 2 * _GROWTH**bucket / (_GROWTH + 1))


class Sketch:
    """Numbers that were seen, none of them less than 0. One thread adds to it; any may ask."""

    __slots__ = ("state",)

    def __init__(self) -> None:
        self.state: tuple[_Seen, list[float]] = (_Seen(), [])
        """What was looked at, and what was not yet: replaced in one step. To append to the second one is to add, as is
        done for each request by who calls `look` once there are `AT_ONCE`."""

    @property
    def count(self) -> int:
        """How many they are."""
        return self._all().count

    @property
    def total(self) -> float:
        """Their sum."""
        return self._all().total

    @property
    def most(self) -> float:
        """The greatest of them; 0 if there is none, or all count as 0."""
        return self._all().most

    def add(self, number: float) -> None:
        """See a number."""
        waiting = self.state[1]
        waiting.append(number)
        if len(waiting) >= AT_ONCE:
            self.look()

    def look(self) -> None:
        """Look at what has waited for that. It changes nothing that can be seen."""
        self.state = (self._all(), [])

    def merge(self, other: Sketch) -> None:
        """See all that another one has seen."""
        self.state = (self._all().and_seen(other._all()), [])

    def and_of(self, other: Sketch) -> Sketch:
        """Return one that has seen all that both have by now. From any thread."""
        both = Sketch()
        both.state = (self._all().and_seen(other._all()), [])
        return both

    def quantile(self, share: float) -> float:
        """Return the least number that at least a share of all do not exceed, within `ERROR`; 0 if there is none."""
        return _quantiles(self._all(), share)[0]

    def distribution(self) -> Distribution:
        """Freeze what is known of the numbers. From any thread."""
        seen = self._all()
        half, most, nearly_all = _quantiles(seen, 0.5, 0.9, 0.99)
        mean = seen.total / seen.count if seen.count else 0.0
        return Distribution(count=seen.count, mean=mean, p50=half, p90=most, p99=nearly_all, most=seen.most)

    def histogram(self, bounds: Sequence[float]) -> tuple[list[int], int, float]:
        """Count the numbers up to each of some bounds. From any thread.

        Args:
            bounds: they rise, and are at least `LEAST`. A number that is less than `ERROR` away from one may count on
                its other side.

        Returns:
            How many numbers there are up to each bound; how many in all; their sum.
        """
        seen = self._all()
        rest, below, counts = iter(sorted(seen.buckets.items())), seen.tiny, []
        following = next(rest, None)
        for bound in bounds:
            while following is not None and seen.stands_for(following[0]) <= bound:
                below += following[1]
                following = next(rest, None)
            counts.append(below)
        return counts, seen.count, seen.total

    def _all(self) -> _Seen:
        seen, waiting = self.state
        return seen.and_numbers(waiting.copy())  # in one step, for its own thread may add meanwhile

    def __repr__(self) -> str:
        """Count what was seen."""
        seen = self._all()
        return f"<Sketch of {seen.count} numbers in {len(seen.buckets)} buckets>"


def _quantiles(seen: _Seen, *shares: float) -> list[float]:
    below, found, rest = seen.tiny, [], iter(sorted(seen.buckets.items()))
    bucket: int | None = None
    for share in sorted(shares):
        rank = max(1, math.ceil(share * seen.count))
        while below < rank:
            step = next(rest, None)
            if step is None:
                break
            bucket, below = step[0], below + step[1]
        found.append(0.0 if bucket is None else seen.stands_for(bucket))
    return found

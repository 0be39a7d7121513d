"""The budget of a platform's retries: a part of what it is asked anyway, and always a few.

A platform that fails every request would else be asked as often again as the policy has attempts, just when it can bear
it least. The law, for each retry that is granted, at t, under the share of that instant (`Retry.budget`):

    retries granted in [t - 60, t], itself included  <=  max(10, share * requests in [t - 60, t])

and so no window of a minute holds more retries than its last one was allowed. It is not stingy either: a retry is
granted if that holds with the retries of [t - 65, t] and the requests of [t - 55, t]. With a share of 0 none is
granted, nor are the ten: who wants no retry wants none of them. With an infinite one all are.

The share comes with each call and is nothing of the budget's own, so that it can be tuned at any time: all retries are
counted, whatever the share was when they were granted.

Times are counted in buckets of five seconds. At any time the last 12 of them, the running one included, lie within the
minute, and the last 13 cover it: those 12 are what counts of the requests, and those 13 of the retries.

Rejected: a bucket of tokens that requests fill. It forgets nothing, so the retries of a quiet hour may come at once.
"""

from __future__ import annotations

import math

import attrs

__all__ = ["Budget"]

_WIDTH = 5.0
_WITHIN = 12
_COVER = _WITHIN + 1
_ALWAYS = 10
_USUAL = 0.2
_ANY = 1e9
"""From here on a share is as good as infinite."""
_ROUNDING = 1e-9
"""A share is a decimal fraction, and 0.29 * 100 is a bit less than 29."""


@attrs.define(eq=False)
class Budget:
    """The retry budget of one platform. All times are seconds of one clock, and never go back.

    Of constant size, and constant in time: a call does at most 13 steps, `request` mostly one.
    """

    _requests: list[int] = attrs.field(factory=lambda: [0] * _COVER, init=False)
    """By bucket, the running one last."""
    _retries: list[int] = attrs.field(factory=lambda: [0] * _COVER, init=False)
    _origin: float = attrs.field(default=0.0, init=False)
    """Where buckets are counted from."""
    _running: float = attrs.field(default=-math.inf, init=False)
    """The number of the running bucket."""
    _ends: float = attrs.field(default=-math.inf, init=False)
    """When the running bucket ends; nothing was counted before it is finite."""

    def request(self, now: float) -> None:
        """Count a request that is tried for the first time."""
        if now >= self._ends:
            self._advance(now)
        self._requests[-1] += 1

    def retry(self, now: float, share: float = _USUAL) -> bool:
        """Take a retry; false if none is left, and then nothing is counted.

        Args:
            now: when.
            share: how many retries a request is worth; infinite: any number.
        """
        if not self.allows(now, share):
            return False
        self._retries[-1] += 1
        return True

    def allows(self, now: float, share: float = _USUAL) -> bool:
        """Say whether a retry is left, as `retry` would, and take none."""
        if now >= self._ends:
            self._advance(now)
        requests, retries = sum(self._requests[1:]), sum(self._retries)
        if share == 0:
            return False
        # A share may be an int of any size, which is no float any more.
        return retries < _ALWAYS or share >= _ANY or retries + 1 <= share * requests + _ROUNDING

    def matters_until(self) -> float:
        """Say from when on a new budget is as strict as this one: at once where no retry was granted."""
        return self._ends + _WITHIN * _WIDTH if any(self._retries) else -math.inf

    def shift(self, seconds: float) -> None:
        """Move to a clock that shows `seconds` more."""
        self._origin += seconds
        self._ends += seconds

    def _advance(self, now: float) -> None:
        """Let the bucket of `now` be the running one, and forget what is too old."""
        bucket = (now - self._origin) // _WIDTH
        steps = int(max(0.0, min(bucket - self._running, _COVER)))  # 0 where a shift has rounded
        for counts in (self._requests, self._retries):
            del counts[:steps]
            counts.extend([0] * steps)
        self._running = bucket
        self._ends = self._origin + (bucket + 1) * _WIDTH

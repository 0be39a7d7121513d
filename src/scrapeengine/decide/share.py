"""The share that one engine gets of a platform that several share: slots by max-min fairness, start times by GCRA.

A ledger holds, for each engine, the slots that it was granted and what it held then; its line is the larger of both.
An engine asks again and again, and each time only its own line changes. It starts tasks within its grant, so it never
holds more than its line says. With a constant limit that keeps, at all times:

    sum of the lines  <=  limit

for a grant is never more than what the others' lines leave of the limit, and what is held was in the line before. Where
the limit is lowered below that sum, no line grows before the sum is below it; the lines shrink as tasks end.

The *level* is the largest whole number such that all could have that many slots, or what they want if it is less. What
is left then is fewer than those who want more, and one more each goes to some of them: to who has it, else to who asks
first. So each gets what it wants, or at least `limit // engines`, as soon as all have asked and what is too much ended.

If the level is 0 there are fewer slots than engines, and slots go round: who had one while others wait with none may
start nothing more, and once its tasks have ended the slot is kept for who has been without for longest.

Rejected: to take a slot away only when it is idle. A slot that is always busy would never go round. Rejected too: to
grant more than is wanted while nobody else wants it. The next engine would find nothing, and wait for who has no use.
Rejected, too: to write down what is held in place of a smaller grant. Who asks again within its turn would get it back.

The ledger also holds, for each engine, the start times that are reserved for it; a request of cost c has its time c
times. Those that are over count as used (`used`); new ones are put between and behind those that are to come
(`reserve`), so that all of them together conform to the rates of who asks. So what an engine gives back, since its rate
has changed, is free at once, wherever it lay; and at a new rate only what was used is owed, in requests
(`decide.rate`).

Rejected: one number for all that was ever reserved, as `decide.rate` has for what was used. What is given back from the
middle of it is lost, and at another rate nobody knows how much of it was to come: after one each 20 s a rate of 50 a
second was not used for 12 s.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

import attrs

from scrapeengine.model.policy import Rate

__all__ = ["Hold", "contended", "grant", "reserve", "used"]

_SAME = 5e-6
"""Seconds by which two times may differ that are the same but for rounding."""


@attrs.frozen
class Hold:
    """One engine's line in the ledger of a shared platform: what it has there, and what it wants."""

    slots: int
    """Slots that it was granted when it asked last; 0 before it has asked."""
    wanted: int
    """The number of tasks that it could run now, those that run included."""
    held: int
    """The number of tasks that it runs now."""
    served: float = -math.inf
    """When it last asked and had a slot, by the ledger's clock; of those with none, who was served first goes first.

    Who is new in the ledger has the time of its first ask: else one that comes and goes would always go first.
    Without it (all the same) whoever asks first does, and of two the one that asks more often may have all.
    """

    @property
    def line(self) -> int:
        """The most that it may hold until it asks again."""
        return max(self.slots, self.held)

    @property
    def demand(self) -> int:
        """The slots that it has a use for."""
        return max(self.wanted, self.held)


def grant(limit: int, mine: Hold, others: Sequence[Hold]) -> int:
    """Say how many tasks an engine may run at once, until it asks again; if it runs more, it starts none.

    Args:
        limit: how many may run in all engines.
        mine: its line, with what it wants and holds now.
        others: the lines of all others, as of when they asked.
    """
    level, left = _level(limit, [mine.demand, *(other.demand for other in others)])
    free = max(0, limit - sum(other.line for other in others))
    if level == 0:
        waiting = [other for other in others if other.line == 0 < other.demand]
        # It had a slot, and more wait with none than there are slots beside its own: now it is their turn.
        if mine.line > 0 and len(waiting) > free - mine.line:
            return 0
        # Kept for those that have been without for longer.
        free = max(0, free - sum(other.served < mine.served for other in waiting))
    above = sum(other.line > level for other in others)
    return min(mine.demand, level + (above < left), free)


def contended(mine: Hold, others: Sequence[Hold]) -> bool:
    """Say whether an engine and others too have a use for the platform."""
    return mine.demand > 0 and any(other.demand > 0 for other in others)


def used(tat: float, times: Iterable[float], interval: float) -> float:
    """Return the theoretical arrival time after requests at some times, by the algorithm of `decide.rate`."""
    for at in sorted(times):
        tat = max(tat, at) + interval
    return tat


def reserve(
    tats: Mapping[float, float],
    now: float,
    rates: Sequence[Rate],
    n: int,
    taken: Sequence[float] = (),
    *,
    cost: int = 1,
) -> tuple[tuple[float, ...], dict[float, float]]:
    """Reserve start times of a platform, by the algorithm of `decide.rate`, between and behind those that are taken.

    With the same rates all times that are reserved keep to each of them together, whoever they are for: in any window
    of w seconds there are at most `burst + w * count / per` of them. Those that were reserved at a faster rate, and are
    still to come, need not; none is put before them then that would be in their way.

    Args:
        tats: the theoretical arrival times of all that is over, by the seconds between two requests; as new if missing.
        now: seconds of a clock that never goes back; no time is reserved before.
        rates: the platform's, one at least.
        n: how many requests; none if it is not positive.
        taken: times that are reserved already, and not counted yet; in order. Those that are the same are one request,
            of as much cost.
        cost: the cost of each request.

    Returns:
        The times, from `now` on and in order; of a request as many, all the same, as it costs. And the theoretical
        arrival times after them and all that come before.
    """
    counted = [tats.get(rate.interval, -math.inf) for rate in rates]
    groups = [(at, len(list(same))) for at, same in groupby(taken)]
    times: list[float] = []
    begin = 0
    while len(times) < n * cost:
        at = max(now, *(_opens_at(tat, rate, cost) for tat, rate in zip(counted, rates, strict=True)))
        after = [max(tat, at) + cost * rate.interval for tat, rate in zip(counted, rates, strict=True)]
        if begin < len(groups):
            fits = at < groups[begin][0] and all(
                _fits(tat, rate, groups[begin:]) for tat, rate in zip(after, rates, strict=True)
            )
            if not fits:
                time, its_cost = groups[begin]
                now = max(now, time)  # behind this one
                counted = [max(tat, time) + its_cost * rate.interval for tat, rate in zip(counted, rates, strict=True)]
                begin += 1
                continue
        times += [at] * cost
        counted = after
    return tuple(times), {rate.interval: tat for rate, tat in zip(rates, counted, strict=True)}


def _opens_at(tat: float, rate: Rate, cost: int) -> float:
    return tat - (max(rate.burst, cost) - cost) * rate.interval


def _fits(tat: float, rate: Rate, groups: Sequence[tuple[float, int]]) -> bool:
    """Say whether requests that are taken conform, with what has come before them."""
    for at, cost in groups:
        if at < _opens_at(tat, rate, cost) - _SAME:
            return False
        if tat <= at:
            break  # all as if nothing had come before
        tat += cost * rate.interval
    return True


def _level(limit: int, demands: list[int]) -> tuple[int, int]:
    """Return how many slots each may have, if it wants as many, and how many are left then (progressive filling)."""
    level, left = 0, max(0, limit)
    for index, demand in enumerate(sorted(demands)):
        wanting = len(demands) - index
        step = left // wanting
        if level + step < demand:
            return level + step, left - step * wanting
        left -= (demand - level) * wanting
        level = demand
    return level, left

"""How engines on one store share a platform: what is decided in `decide.share`, on what they have written down."""

from __future__ import annotations

from collections.abc import Mapping

from scrapeengine.decide.share import Hold, contended, grant, reserve
from scrapeengine.model.job import Share, Wish
from scrapeengine.stores.shelf import Gate, Shelf, Stake

__all__ = ["share"]

_AHEAD = 0.5
"""Seconds of a rate that an engine gets at once."""


def share(shelf: Shelf, owner: str, wishes: Mapping[str, Wish], lease: float) -> dict[str, Share]:
    """Say what an engine may do, and write down what it has."""
    return {platform: _share(shelf, owner, platform, wish, lease) for platform, wish in wishes.items()}


def _share(shelf: Shelf, owner: str, platform: str, wish: Wish, lease: float) -> Share:
    mine, others = _holds(shelf, owner, platform, wish)
    slots = mine.slots if wish.keep and mine.slots else grant(wish.limit, mine, others)
    _write_down(shelf, owner, platform, mine, slots, lease)
    gate = shelf.pool.gate(platform)
    times, tat = _reserved(gate.tat, shelf.now + wish.lead, wish)
    closed = max((at for at in (gate.closed_until, wish.closed_until) if at is not None), default=None)
    if closed is not None and closed <= shelf.now:
        closed = None
    if gate != (tat, closed):
        shelf.pool.set_gate(platform, Gate(tat, closed))
    return Share(slots=slots, times=times, closed_until=closed, contended=contended(mine, others))


def _holds(shelf: Shelf, owner: str, platform: str, wish: Wish) -> tuple[Hold, list[Hold]]:
    mine = Hold(slots=0, wanted=wish.wanted, held=wish.held)
    others = []
    for stake in shelf.pool.stakes(platform):
        if stake.until <= shelf.now:
            shelf.pool.drop_stake(platform, stake.owner)
        elif stake.owner == owner:
            mine = Hold(stake.slots, wish.wanted, wish.held, stake.served)
        else:
            others.append(Hold(stake.slots, stake.wanted, stake.held, stake.served))
    return mine, others


def _write_down(shelf: Shelf, owner: str, platform: str, mine: Hold, slots: int, lease: float) -> None:
    if mine.demand == 0:
        shelf.pool.drop_stake(platform, owner)
        return
    has = max(slots, mine.held)
    served = shelf.now if has else mine.served
    shelf.pool.set_stake(platform, Stake(owner, has, mine.wanted, mine.held, served, shelf.now + lease))


def _reserved(tat: float, now: float, wish: Wish) -> tuple[tuple[float, ...], float]:
    if wish.rate is None or wish.requests <= 0:
        return (), tat
    most = max(1, int(_AHEAD * wish.rate.count / wish.rate.per))
    return reserve(tat, now, wish.rate, min(wish.requests, most))

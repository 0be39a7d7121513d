"""How engines on one store share a platform: what is decided in `decide.share`, on what they have written down."""

from __future__ import annotations

from collections.abc import Mapping

from scrapeengine.decide.share import Hold, contended, grant, reserve
from scrapeengine.model.job import Share, Wish
from scrapeengine.stores.shelf import Gate, Shelf, Stake

__all__ = ["share"]

_AHEAD = 0.5
"""Seconds of a rate that an engine gets at once."""


def share(shelf: Shelf, owner: str, wishes: Mapping[str, Wish], lease: float, ahead: float) -> dict[str, Share]:
    """Say what an engine may do, and write down what it has.

    Args:
        shelf: where that is written.
        owner: the engine.
        wishes: what it wants; the times in them, and in what is returned, are of another clock than the shelf's.
        lease: seconds for which it has what it is given.
        ahead: how far `awake` is ahead of that clock.
    """
    return {platform: _share(shelf, owner, platform, wish, lease, ahead) for platform, wish in wishes.items()}


def _share(shelf: Shelf, owner: str, platform: str, wish: Wish, lease: float, ahead: float) -> Share:
    mine, others = _holds(shelf, owner, platform, wish)
    slots = mine.slots if wish.keep and mine.slots else grant(wish.limit, mine, others)
    _write_down(shelf, owner, platform, mine, slots, lease)
    gate = shelf.pool.gate(platform)
    times, tat = _reserved(gate.tat, shelf.awake + wish.lead, wish)
    told = None if wish.closed_until is None else wish.closed_until + ahead
    closed = max((at for at in (gate.closed_until, told) if at is not None), default=None)
    if closed is not None and closed <= shelf.awake:
        closed = None
    if gate != (tat, closed):
        shelf.pool.set_gate(platform, Gate(tat, closed))
    return Share(
        slots=slots,
        times=tuple(at - ahead for at in times),
        closed_until=None if closed is None else closed - ahead,
        contended=contended(mine, others),
    )


def _holds(shelf: Shelf, owner: str, platform: str, wish: Wish) -> tuple[Hold, list[Hold]]:
    mine = Hold(slots=0, wanted=wish.wanted, held=wish.held)
    others = []
    for stake in shelf.pool.stakes(platform):
        if stake.until <= shelf.awake:
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
    served = shelf.awake if has else mine.served
    shelf.pool.set_stake(platform, Stake(owner, has, mine.wanted, mine.held, served, shelf.awake + lease))


def _reserved(tat: float, now: float, wish: Wish) -> tuple[tuple[float, ...], float]:
    if wish.rate is None or wish.requests <= 0:
        return (), tat
    most = max(1, int(_AHEAD * wish.rate.count / wish.rate.per))
    return reserve(tat, now, wish.rate, min(wish.requests, most))

"""How engines on one store share a platform: what is decided in `decide.share`, on what they have written down."""

from __future__ import annotations

from collections.abc import Mapping

from scrapeengine.decide.share import Hold, contended, grant, reserve
from scrapeengine.model.job import ShareGrant, ShareRequest
from scrapeengine.stores.rules.tables import SharedGate, Stake, Tables

__all__ = ["share"]

_AHEAD = 0.5
"""Seconds of a rate that an engine gets at once."""


def share(
    tables: Tables, owner: str, share_requests: Mapping[str, ShareRequest], lease: float, ahead: float
) -> dict[str, ShareGrant]:
    """Say what an engine may do, and write down what it has.

    Args:
        tables: where that is written.
        owner: the engine.
        share_requests: what it wants; the times in them, and in what is returned, are of another clock than theirs.
        lease: seconds for which it has what it is given.
        ahead: how far `awake` is ahead of that clock.
    """
    return {
        platform: _share(tables, owner, platform, share_request, lease, ahead)
        for platform, share_request in share_requests.items()
    }


def _share(
    tables: Tables, owner: str, platform: str, share_request: ShareRequest, lease: float, ahead: float
) -> ShareGrant:
    mine, others = _holds(tables, owner, platform, share_request)
    slots = mine.slots if share_request.keep and mine.slots else grant(share_request.limit, mine, others)
    _write_down(tables, owner, platform, mine, slots, lease)
    gate = tables.pool.gate(platform)
    times, tat = _reserved(gate.tat, tables.awake + share_request.lead, share_request)
    told = None if share_request.closed_until is None else share_request.closed_until + ahead
    closed = max((at for at in (gate.closed_until, told) if at is not None), default=None)
    if closed is not None and closed <= tables.awake:
        closed = None
    if gate != (tat, closed):
        tables.pool.set_gate(platform, SharedGate(tat, closed))
    return ShareGrant(
        slots=slots,
        times=tuple(at - ahead for at in times),
        closed_until=None if closed is None else closed - ahead,
        contended=contended(mine, others),
    )


def _holds(tables: Tables, owner: str, platform: str, share_request: ShareRequest) -> tuple[Hold, list[Hold]]:
    mine = Hold(slots=0, wanted=share_request.wanted, held=share_request.held)
    others = []
    for stake in tables.pool.stakes(platform):
        if stake.until <= tables.awake:
            tables.pool.drop_stake(platform, stake.owner)
        elif stake.owner == owner:
            mine = Hold(stake.slots, share_request.wanted, share_request.held, stake.served)
        else:
            others.append(Hold(stake.slots, stake.wanted, stake.held, stake.served))
    return mine, others


def _write_down(tables: Tables, owner: str, platform: str, mine: Hold, slots: int, lease: float) -> None:
    if mine.demand == 0:
        tables.pool.drop_stake(platform, owner)
        return
    has = max(slots, mine.held)
    served = tables.awake if has else mine.served
    tables.pool.set_stake(platform, Stake(owner, has, mine.wanted, mine.held, served, tables.awake + lease))


def _reserved(tat: float, now: float, share_request: ShareRequest) -> tuple[tuple[float, ...], float]:
    if share_request.rate is None or share_request.requests <= 0:
        return (), tat
    most = max(1, int(_AHEAD * share_request.rate.count / share_request.rate.per))
    return reserve(tat, now, share_request.rate, min(share_request.requests, most))

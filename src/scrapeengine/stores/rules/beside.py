"""Rules for all that is kept beside the jobs: validators by URL, outcomes, locks, and the shares of engines.

How engines on one store share a platform is decided in `decide.share`, on what they have written down here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from scrapeengine.decide.share import Hold, contended, grant, reserve
from scrapeengine.model.job import Delivery, Kept, ShareGrant, ShareRequest
from scrapeengine.model.validators import Validator
from scrapeengine.stores.rules.tables import SharedGate, Stake, Tables

__all__ = ["acknowledge", "lock", "recall", "remember", "share", "undelivered", "unlock"]

_MOST_PAGES = 100_000
_LONGEST_URL = 4096


def recall(tables: Tables, platform: str, url: str) -> Validator | None:
    """Return what is known of a URL."""
    return tables.pages.recall(platform, url)


def remember(tables: Tables, platform: str, url: str, validator: Validator | None) -> None:
    """Keep what is known of a URL, if it is of a sensible length; None: forget it."""
    if validator is None:
        tables.pages.forget(platform, url)
    elif len(url) <= _LONGEST_URL:
        tables.pages.remember(platform, url, validator, _MOST_PAGES)


def undelivered(tables: Tables, n: int, lease: float) -> list[Kept]:
    """Hand out what should have been acknowledged by now."""
    found = tables.outbox.late(tables.awake, n)
    for kept in found:
        tables.outbox.postpone(kept.delivery, tables.awake + lease)
    return found


def acknowledge(tables: Tables, deliveries: Sequence[Delivery]) -> None:
    """Forget outcomes."""
    for delivery in deliveries:
        tables.outbox.drop(delivery)


def lock(tables: Tables, name: str, owner: str, lease: float) -> bool:
    """Take a lock that is free, void, or one's own."""
    holder = tables.sharing.holder(name)
    if holder is not None and holder[0] != owner and holder[1] > tables.awake:
        return False
    tables.sharing.void(tables.awake)
    tables.sharing.lock(name, owner, tables.awake + lease)
    return True


def unlock(tables: Tables, name: str, owner: str) -> None:
    """Give a lock back, if it is one's own."""
    holder = tables.sharing.holder(name)
    if holder is not None and holder[0] == owner:
        tables.sharing.unlock(name)


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
    # Within its turn it keeps what it was granted; if that was none, it may get some as soon as there are.
    slots = mine.slots if share_request.keep and mine.slots else grant(share_request.limit, mine, others)
    _write_down(tables, owner, platform, mine, slots, lease)
    gate = tables.sharing.gate(platform)
    times, tat = _reserved(gate.tat, tables.awake + share_request.lead, share_request)
    told = None if share_request.closed_until is None else share_request.closed_until + ahead
    if share_request.openings not in {None, gate.openings}:
        told = None  # it was reopened since, and the engine learns it by this call
    closed = max((at for at in (gate.closed_until, told) if at is not None), default=None)
    if closed is not None and closed <= tables.awake:
        closed = None
    if gate[:2] != (tat, closed):
        tables.sharing.set_gate(platform, SharedGate(tat, closed, gate.openings))
    return ShareGrant(
        slots=slots,
        times=tuple(at - ahead for at in times),
        closed_until=None if closed is None else closed - ahead,
        contended=contended(mine, others),
        openings=gate.openings,
    )


def _holds(tables: Tables, owner: str, platform: str, share_request: ShareRequest) -> tuple[Hold, list[Hold]]:
    mine = Hold(slots=0, wanted=share_request.wanted, held=share_request.held)
    others = []
    for stake in tables.sharing.stakes(platform):
        if stake.until <= tables.awake:
            tables.sharing.drop_stake(platform, stake.owner)
        elif stake.owner == owner:
            mine = Hold(stake.slots, share_request.wanted, share_request.held, stake.served)
        else:
            others.append(Hold(stake.slots, stake.wanted, stake.held, stake.served))
    return mine, others


def _write_down(tables: Tables, owner: str, platform: str, mine: Hold, slots: int, lease: float) -> None:
    if mine.demand == 0:
        tables.sharing.drop_stake(platform, owner)
        return
    has = max(slots, mine.held)
    served = tables.awake if has else mine.served
    tables.sharing.set_stake(platform, Stake(owner, has, mine.wanted, mine.held, served, tables.awake + lease))


def _reserved(tat: float, now: float, share_request: ShareRequest) -> tuple[tuple[float, ...], float]:
    if share_request.rate is None or share_request.requests <= 0:
        return (), tat
    most = max(1, int(_AHEAD * share_request.rate.count / share_request.rate.per))
    return reserve(tat, now, share_request.rate, min(share_request.requests, most))

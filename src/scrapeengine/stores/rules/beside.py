"""Rules for all that is kept beside the jobs: validators by URL, outcomes, locks, and the shares of engines.

How engines on one store share a platform is decided in `decide.share`, on what they have written down here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from scrapeengine.decide.rate import restated
from scrapeengine.decide.share import Hold, contended, grant, reserve, used
from scrapeengine.errors import StoreError
from scrapeengine.model.job import Delivery, Kept, Reply, ShareGrant, ShareRequest
from scrapeengine.model.policy import longest_interval
from scrapeengine.model.sink import Position
from scrapeengine.model.validators import Validator
from scrapeengine.stores.rules.tables import SharedGate, Stake, Tables

__all__ = [
    "NotOwed",
    "acknowledge",
    "clear",
    "defer",
    "free",
    "lock",
    "recall",
    "remember",
    "restart",
    "share",
    "undelivered",
    "unlock",
]

_MOST_PAGES = 100_000
_LONGEST_URL = 4096
_LEAST_KEPT = 60.0
"""Seconds for which an outcome is kept at least, whatever `keep`: for who begins again after a crash."""
_CLEARED = 1000
"""The most outcomes that one call clears away."""


def recall(tables: Tables, platform: str, url: str) -> Validator | None:
    """Return what is known of a URL."""
    return tables.pages.recall(platform, url)


def remember(tables: Tables, platform: str, url: str, validator: Validator | None) -> None:
    """Keep what is known of a URL, if it is of a sensible length; None: forget it."""
    if validator is None:
        tables.pages.forget(platform, url)
    elif len(url) <= _LONGEST_URL:
        tables.pages.remember(platform, url, validator, _MOST_PAGES)


def undelivered(tables: Tables, sink: str, n: int, lease: float) -> list[Kept]:
    """Hand out what a sink should have acknowledged by now."""
    found = tables.outbox.late(sink, tables.awake, _gone(tables), n)
    for kept in found:
        tables.outbox.postpone(sink, kept.delivery, tables.awake + lease, -math.inf, tables.opening)
    return found


def defer(tables: Tables, sink: str, deliveries: Sequence[Delivery], seconds: float) -> None:
    """Let outcomes be handed out later, or sooner."""
    for delivery in deliveries:
        tables.outbox.postpone(sink, delivery, tables.awake + seconds, _gone(tables), tables.opening)


class NotOwed(StoreError):
    """An acknowledgement changes nothing: the reply to it."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply)
        self.reply = reply


def acknowledge(tables: Tables, sink: str, deliveries: Sequence[Delivery], position: Position | None) -> Reply:
    """Forget that a sink is to have outcomes; with a position write down how far it has come, all of it or nothing.

    Whose lease has ended is nothing to it: of two that have written the same outcome, the first to say so has.

    Raises:
        NotOwed: there is a position, and one of them is not the sink's.
    """
    if not tables.outbox.take(sink, frozenset(deliveries), _gone(tables), whole=position is not None):
        if position is None:
            return Reply.LOST
        # Where it is there already it is told once more, since the first reply was not heard.
        told = tables.outbox.positions(sink).get(position.slot) == position.value
        raise NotOwed(Reply.ALREADY if told else Reply.LOST)
    if position is not None:
        tables.outbox.move(sink, position)
    return Reply.OK


def clear(tables: Tables) -> None:
    """Forget outcomes that nobody has fetched for too long."""
    tables.outbox.clear(_gone(tables), _CLEARED)


def _gone(tables: Tables) -> float:
    """Return when the time of an outcome had come that is not kept any more: it is known as long as an ended job."""
    return tables.awake - max(tables.policy.keep, _LEAST_KEPT)


def lock(tables: Tables, name: str, owner: str, lease: float) -> bool:
    """Take a lock that is free, void, or one's own."""
    holder = tables.sharing.holder(name)
    if holder is not None and holder[0] != owner and holder[1] > tables.awake:
        tables.marks.blocked = True
        return False
    tables.sharing.void(tables.awake)
    tables.sharing.lock(name, owner, tables.awake + lease, tables.opening)
    return True


def unlock(tables: Tables, name: str, owner: str) -> None:
    """Give a lock back, if it is one's own."""
    holder = tables.sharing.holder(name)
    if holder is not None and holder[0] == owner:
        tables.sharing.unlock(name)


_AHEAD = 0.5
"""Seconds of a rate that an engine gets at once."""
_INSTANT = 1e-6
"""Seconds by which a time may differ from an instant that it is for, by rounding."""


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


def restart(tables: Tables, seconds: float) -> None:
    """Go on in another boot: whoever had slots or locks is gone; start times that were reserved may have been used.

    Args:
        tables: where that is written.
        seconds: by how much the times of gates move.
    """
    for platform in tables.sharing.staked():
        gate = tables.sharing.gate(platform)
        counted = _counted(gate, tables.sharing.stakes(platform), math.inf)
        if counted != gate:
            tables.sharing.set_gate(platform, counted._replace(counted=gate.counted))
    tables.sharing.restart(seconds)


def free(tables: Tables, opening: int) -> None:
    """Free the locks, slots and start times that an opening held.

    Of the start times those that are over count as used: its stakes are void from now on, and whoever asks next looks
    at them first.
    """
    tables.sharing.free(opening)
    for platform in tables.sharing.staked():
        for stake in tables.sharing.stakes(platform):
            if stake.opening == opening and stake.until > tables.awake:
                tables.sharing.set_stake(platform, stake._replace(until=tables.awake))


def _share(
    tables: Tables, owner: str, platform: str, share_request: ShareRequest, lease: float, ahead: float
) -> ShareGrant:
    stakes, before = tables.sharing.stakes(platform), tables.sharing.gate(platform)
    gate = _counted(before, stakes, tables.awake)
    for stake in stakes:
        if stake.until <= tables.awake:
            tables.sharing.drop_stake(platform, stake.owner)
    live = [stake for stake in stakes if stake.until > tables.awake]
    old = next((stake for stake in live if stake.owner == owner), Stake(owner, 0, 0, 0, -math.inf, 0.0))
    mine = Hold(old.slots, share_request.wanted, share_request.held, old.served)
    others = [Hold(stake.slots, stake.wanted, stake.held, stake.served) for stake in live if stake.owner != owner]
    # Within its turn it keeps what it was granted, which is less than it holds where others are to have some of that;
    # if it was none, it may get some as soon as there are.
    slots = mine.slots if share_request.keep and mine.slots else grant(share_request.limit, mine, others)
    slots = 0 if gate.paused else slots
    # What is for this very instant may have been used.
    kept = tuple(at for at in _to_come(old, gate) if at < tables.awake + _INSTANT or not share_request.anew)
    taken = sorted([*kept, *(at for stake in live if stake.owner != owner for at in _to_come(stake, gate))])
    gate, times = _reserved(gate, taken, tables.awake, share_request)
    until = tables.awake + lease
    stake = Stake(owner, slots, mine.wanted, mine.held, mine.served, until, kept + times, tables.opening)
    _write_down(tables, platform, stake)
    told = None if share_request.closed_until is None else share_request.closed_until + ahead
    if share_request.openings not in {None, gate.openings}:
        told = None  # it was reopened since, and the engine learns it by this call
    closed = max((at for at in (gate.closed_until, told) if at is not None and at > tables.awake), default=None)
    gate = gate._replace(closed_until=closed)
    if gate != before:
        tables.sharing.set_gate(platform, gate)
    return ShareGrant(
        slots=slots,
        times=tuple(at - ahead for at in times),
        closed_until=None if closed is None else closed - ahead,
        contended=contended(mine, others),
        openings=gate.openings,
        paused=gate.paused,
    )


def _write_down(tables: Tables, platform: str, stake: Stake) -> None:
    if not (stake.wanted or stake.held or stake.times):
        tables.sharing.drop_stake(platform, stake.owner)
        return
    if stake.slots or stake.held:
        stake = stake._replace(served=tables.awake)
    tables.sharing.set_stake(platform, stake)


def _to_come(stake: Stake, gate: SharedGate) -> tuple[float, ...]:
    """Return the start times of an engine that are not counted yet."""
    return tuple(at for at in stake.times if at >= gate.counted)


def _counted(gate: SharedGate, stakes: Sequence[Stake], now: float) -> SharedGate:
    """Count the start times that are over as used, whether they were or not."""
    times: list[float] = []
    for stake in stakes:
        # What is for this very instant may be used, or given back, by who lives; who does not may have used it.
        over = now + _INSTANT if stake.until <= now else now - _INSTANT
        times += (at for at in _to_come(stake, gate) if at < over)
    if not times or not gate.tats:
        return gate
    tats = tuple((interval, used(tat, times, interval)) for interval, tat in gate.tats)
    return gate._replace(tats=tats, counted=now - _INSTANT)


def _reserved(
    gate: SharedGate, taken: Sequence[float], now: float, share_request: ShareRequest
) -> tuple[SharedGate, tuple[float, ...]]:
    """Reserve start times beside those that are taken."""
    rates, cost = share_request.rates, share_request.cost
    if not rates or share_request.requests <= 0:
        return gate, ()
    tats = restated(dict(gate.tats), now, [rate.interval for rate in rates])
    most = max(1, int(_AHEAD / (longest_interval(rates) * cost) + _INSTANT))
    times, _ = reserve(tats, now + share_request.lead, rates, min(share_request.requests, most), taken, cost=cost)
    return gate._replace(tats=tuple(tats.items())), times

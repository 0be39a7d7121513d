"""Tables of a file beside the jobs: validators by URL, outcomes, locks, and the shares of engines."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import attrs

from scrapeengine.model.job import Delivery, Kept
from scrapeengine.model.sink import Position
from scrapeengine.model.validators import Validator
from scrapeengine.stores.rules.tables import SharedGate, Stake
from scrapeengine.stores.sqlite.driver import fetch
from scrapeengine.stores.sqlite.sums import Sums

if TYPE_CHECKING:
    from apsw import Connection

__all__ = ["SqlOutboxTable", "SqlPageTable", "SqlSeenTable", "SqlSharingTable", "recalled"]


_STAKE, _GATE = ", ".join(Stake._fields), ", ".join(SharedGate._fields)
_CLEAR = """WITH RECURSIVE sinks (name) AS (
        SELECT min(sink) FROM outbox
        UNION ALL SELECT (SELECT min(sink) FROM outbox WHERE sink > name) FROM sinks WHERE name IS NOT NULL)
    DELETE FROM outbox WHERE rowid IN (
        SELECT each.rowid FROM sinks CROSS JOIN outbox AS each ON each.sink = sinks.name
        WHERE each.until <= ? LIMIT ?)"""
"""Hops from sink to sink in the index by sink and time: a second one, by time, would cost each outcome a row more."""
_SHUT = "WHERE (paused OR closed_until IS NOT NULL)"
"""As the index has it, so that it is used."""


def recalled(db: Connection, platform: str, url: str) -> Validator | None:
    """Return what is known of a URL, by any connection."""
    query = "SELECT etag, last_modified, vary FROM pages WHERE platform = ? AND url = ?"
    rows = fetch(db, query, (platform, url))
    return Validator(*rows[0]) if rows else None


@attrs.frozen
class SqlPageTable:
    """Validators by URL."""

    _db: Connection
    _sums: Sums

    def recall(self, platform: str, url: str) -> Validator | None:
        """See `PageTable`."""
        return recalled(self._db, platform, url)

    def remember(self, platform: str, url: str, validator: Validator, most: int) -> None:
        """See `PageTable`."""
        written = self._sums.add("written", 1)
        values = (platform, url, validator.etag, validator.last_modified, written, validator.vary)
        self._db.execute("INSERT OR IGNORE INTO pages VALUES (?, ?, ?, ?, ?, ?)", values)
        if not self._db.changes():  # it is there, for nobody else has this `written`
            self._db.execute("REPLACE INTO pages VALUES (?, ?, ?, ?, ?, ?)", values)
        elif self._sums.add("pages", 1) > most:
            self._db.execute("DELETE FROM pages WHERE written = (SELECT min(written) FROM pages)")
            self._sums.add("pages", -1)

    def forget(self, platform: str, url: str) -> None:
        """See `PageTable`."""
        if self.recall(platform, url) is not None:
            self._db.execute("DELETE FROM pages WHERE platform = ? AND url = ?", (platform, url))
            self._sums.add("pages", -1)


@attrs.frozen
class SqlSeenTable:
    """Ids that crawls have seen, one crawl after the other. How many there are is a sum: where none is nobody asks."""

    _db: Connection
    _sums: Sums

    def has(self, platform: str, id: str) -> bool:
        """See `SeenTable`."""
        if not self._sums.number("seen"):
            return False
        query = "SELECT 1 FROM seen WHERE crawl = ? AND platform = ? AND id = ?"
        return bool(fetch(self._db, query, (self._sums.number("crawl"), platform, id)))

    def add(self, platform: str, id: str) -> None:
        """See `SeenTable`."""
        if not self.has(platform, id):
            self._db.execute("INSERT INTO seen VALUES (?, ?, ?)", (self._sums.number("crawl"), platform, id))
            self._sums.add("seen", 1)

    def turn(self, n: int) -> None:
        """See `SeenTable`."""
        if seen := self._sums.number("seen"):
            self._sums.add("seen", -seen)
            self._sums.add("left", seen)
            self._sums.add("crawl", 1)
        if left := self._sums.number("left"):
            query = "SELECT crawl, platform, id FROM seen WHERE crawl < ? ORDER BY crawl, platform, id LIMIT ?"
            found = fetch(self._db, query, (self._sums.number("crawl"), n))
            self._db.executemany("DELETE FROM seen WHERE crawl = ? AND platform = ? AND id = ?", found)
            self._sums.add("left", -min(left, len(found) or left))


@attrs.frozen
class SqlOutboxTable:
    """Outcomes that wait to be acknowledged, by sink, and how far these have come."""

    _db: Connection

    def put(self, sink: str, kept: Kept, until: float, opening: int | None) -> None:
        """See `OutboxTable`."""
        values = (*kept.delivery, sink, kept.outcome, until, opening)
        self._db.execute("REPLACE INTO outbox VALUES (?, ?, ?, ?, ?, ?, ?)", values)

    def late(self, sink: str, now: float, gone: float, n: int) -> list[Kept]:
        """See `OutboxTable`."""
        query = """SELECT platform, id, token, outcome FROM outbox
            WHERE sink = ? AND until <= ? AND until > ? ORDER BY until, token LIMIT ?"""
        rows = fetch(self._db, query, (sink, now, gone, n))
        return [Kept(Delivery(*delivery), outcome) for *delivery, outcome in rows]

    def release(self, seconds: float, until: float) -> None:
        """See `OutboxTable`."""
        self._db.execute("UPDATE outbox SET until = min(until + ?, ?)", (seconds, until))

    def free(self, opening: int, until: float) -> None:
        """See `OutboxTable`."""
        query = "UPDATE outbox SET until = :until WHERE until > :until AND opening = :opening"
        self._db.execute(query, {"until": until, "opening": opening})

    def postpone(self, sink: str, delivery: Delivery, until: float, gone: float, opening: int | None) -> None:
        """See `OutboxTable`."""
        query = """UPDATE outbox SET until = ?, opening = ?
            WHERE platform = ? AND id = ? AND token = ? AND sink = ? AND until > ?"""
        self._db.execute(query, (until, opening, *delivery, sink, gone))

    def clear(self, gone: float, n: int) -> None:
        """See `OutboxTable`."""
        self._db.execute(_CLEAR, (gone, n))

    def take(self, sink: str, deliveries: Collection[Delivery], gone: float, *, whole: bool) -> bool:  # noqa: ARG002
        """See `OutboxTable`; what is raised takes all back."""
        query = "DELETE FROM outbox WHERE platform = ? AND id = ? AND token = ? AND sink = ? AND until > ?"
        before = self._db.total_changes()
        self._db.executemany(query, [(*delivery, sink, gone) for delivery in deliveries])
        return self._db.total_changes() - before == len(deliveries)

    def move(self, sink: str, position: Position) -> None:
        """See `OutboxTable`."""
        self._db.execute("REPLACE INTO positions VALUES (?, ?, ?)", (sink, *position))

    def positions(self, sink: str) -> dict[str, str]:
        """See `OutboxTable`."""
        return dict(fetch(self._db, "SELECT slot, value FROM positions WHERE sink = ? ORDER BY slot", (sink,)))


@attrs.frozen
class SqlSharingTable:
    """Locks, and what engines share."""

    _db: Connection

    def holder(self, name: str) -> tuple[str, float] | None:
        """See `SharingTable`."""
        rows = fetch(self._db, "SELECT owner, until FROM locks WHERE name = ?", (name,))
        return (rows[0][0], rows[0][1]) if rows else None

    def lock(self, name: str, owner: str, until: float, opening: int | None) -> None:
        """See `SharingTable`."""
        self._db.execute("REPLACE INTO locks VALUES (?, ?, ?, ?)", (name, owner, until, opening))

    def free(self, opening: int) -> None:
        """See `SharingTable`."""
        self._db.execute("DELETE FROM locks WHERE opening = ?", (opening,))

    def unlock(self, name: str) -> None:
        """See `SharingTable`."""
        self._db.execute("DELETE FROM locks WHERE name = ?", (name,))

    def void(self, now: float) -> None:
        """See `SharingTable`."""
        self._db.execute("DELETE FROM locks WHERE until <= ?", (now,))

    def stakes(self, platform: str) -> list[Stake]:
        """See `SharingTable`."""
        query = f"SELECT {_STAKE} FROM stakes WHERE platform = ? ORDER BY owner"  # noqa: S608 - a fixed set
        rows = fetch(self._db, query, (platform,))
        stakes = (Stake(*values) for values in rows)
        return [stake._replace(times=tuple(json.loads(str(stake.times)))) for stake in stakes]

    def set_stake(self, platform: str, stake: Stake) -> None:
        """See `SharingTable`."""
        *values, times, opening = stake
        self._db.execute(
            "REPLACE INTO stakes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", (platform, *values, json.dumps(times), opening)
        )

    def staked(self) -> list[str]:
        """See `SharingTable`."""
        rows = fetch(self._db, "SELECT DISTINCT platform FROM stakes ORDER BY platform", ())
        return [platform for (platform,) in rows]

    def drop_stake(self, platform: str, owner: str) -> None:
        """See `SharingTable`."""
        self._db.execute("DELETE FROM stakes WHERE platform = ? AND owner = ?", (platform, owner))

    def gate(self, platform: str) -> SharedGate:
        """See `SharingTable`."""
        query = f"SELECT {_GATE} FROM gates WHERE platform = ?"  # noqa: S608 - a fixed set
        rows = fetch(self._db, query, (platform,))
        return _gate(*rows[0]) if rows else SharedGate()

    def set_gate(self, platform: str, gate: SharedGate) -> None:
        """See `SharingTable`."""
        tats, *values = gate
        query = f"REPLACE INTO gates (platform, {_GATE}) VALUES (?, ?, ?, ?, ?, ?)"  # noqa: S608 - a fixed set
        self._db.execute(query, (platform, json.dumps(tats), *values))

    def shut(self, now: float) -> dict[str, SharedGate]:
        """See `SharingTable`."""
        query = f"SELECT platform, {_GATE} FROM gates {_SHUT} AND (paused OR closed_until > ?)"  # noqa: S608 - a fixed set
        return {platform: _gate(*values) for platform, *values in fetch(self._db, query, (now,))}

    def restart(self, seconds: float) -> None:
        """See `SharingTable`."""
        self._db.execute("DELETE FROM locks")
        self._db.execute("DELETE FROM stakes")
        for (platform,) in fetch(self._db, "SELECT platform FROM gates", ()):
            self.set_gate(platform, self.gate(platform).moved(seconds))


def _gate(tats: str, *values: Any) -> SharedGate:
    gate = SharedGate(tuple((interval, tat) for interval, tat in json.loads(tats)), *values)
    return gate._replace(paused=bool(gate.paused))

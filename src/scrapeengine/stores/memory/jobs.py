"""Jobs on dicts and ordered lists: the tables of `memory`."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from typing import Any

from scrapeengine.model.job import Content, JobStatus
from scrapeengine.stores.memory.orders import Name, Orders, Time
from scrapeengine.stores.rules.rows import Marks, Row, Texts, place

__all__ = ["DictJobTable"]


class DictJobTable:
    """The jobs; each stands in the orders that its status gives it a place in."""

    def __init__(self) -> None:
        self.marks = Marks()
        self._rows: dict[Name, Row] = {}
        self._texts: dict[Name, Texts] = {}
        self._counts: defaultdict[str, Counter[JobStatus]] = defaultdict(Counter)
        self._pending = 0
        self._seq = 0
        self._token = 0
        self._orders = Orders()

    def find(self, platform: str, id: str) -> Row | None:
        """See `Jobs`."""
        return self._rows.get((platform, id))

    def add(self, row: Row, texts: Texts) -> None:
        """See `Jobs`."""
        name = (row.platform, row.id)
        self._rows[name] = row
        self._texts[name] = texts
        self._enter(row)
        self.marks.note(row, None)

    def change(self, row: Row, **values: Any) -> None:
        """See `Jobs`."""
        before = row.status
        self._leave(row)
        for field, value in values.items():
            setattr(row, field, value)
        self._enter(row)
        self.marks.note(row, before)

    def drop(self, row: Row) -> None:
        """See `Jobs`."""
        name = (row.platform, row.id)
        self._leave(row)
        del self._rows[name], self._texts[name]
        if not any(self._counts[row.platform].values()):
            del self._counts[row.platform]

    def texts(self, row: Row) -> Texts:
        """See `Jobs`."""
        return self._texts[row.platform, row.id]

    def write(self, row: Row, result: Content | None, error: str | None, history: str | None) -> None:
        """See `Jobs`."""
        self._texts[row.platform, row.id] = Texts(self.texts(row).payload, result, error, history)

    def ready(self, platform: str, n: int) -> list[Row]:
        """See `Jobs`."""
        queue = self._orders.ready.get(platform)
        return [] if queue is None else [self._rows[platform, name] for _, name in queue.first(n)]

    def before(self, row: Row) -> int:
        """See `Jobs`."""
        return self._orders.ready[row.platform].place((place(row), row.id))

    def due(self, at: float, n: int) -> list[Row]:
        """See `Jobs`."""
        return self._named(self._orders.delayed.through(at, n))

    def lapsed(self, at: float, n: int) -> list[Row]:
        """See `Jobs`."""
        return self._named(self._orders.leased.through(at, n))

    def recurring(self, ids: Collection[str] | None) -> list[Row]:
        """See `Jobs`."""
        wanted = None if ids is None else frozenset(ids)
        rows = self._named(list(self._orders.delayed))
        return [row for row in rows if row.cadence is not None and (wanted is None or row.id in wanted)]

    def delayed_at(self, platform: str, due: float) -> bool:
        """See `Jobs`."""
        return self._orders.dues[platform, due] > 0

    def expired(self, now: float, n: int) -> list[Row]:
        """See `Jobs`."""
        return self._named(self._orders.expiring.through(now, n))

    def droppable(self, now: float, n: int) -> list[Row]:
        """See `Jobs`."""
        return self._named(self._orders.free.through(now, n))

    def counts(self) -> Mapping[str, Mapping[JobStatus, int]]:
        """See `Jobs`."""
        return self._counts

    def platforms(self) -> Collection[str]:
        """See `Jobs`."""
        return self._orders.ready

    def total(self, *, pending: bool) -> int:
        """See `Jobs`."""
        return self._pending if pending else len(self._rows) - self._pending

    def oldest(self, platform: str) -> float | None:
        """See `Jobs`."""
        ages = self._orders.ages.get(platform)
        return None if ages is None else ages.first(1)[0][0]

    def next_time(self, asleep: float) -> float | None:
        """See `Jobs`."""
        dues = [at - asleep for at, _, _ in self._orders.delayed.first(1)]
        ends = [at for at, _, _ in self._orders.leased.first(1)]
        return min((*dues, *ends), default=None)

    def next_seq(self) -> int:
        """See `Jobs`."""
        self._seq += 1
        return self._seq

    def next_token(self) -> int:
        """See `Jobs`."""
        self._token += 1
        return self._token

    def _named(self, items: list[Time]) -> list[Row]:
        return [self._rows[name] for _, _, name in items]

    def _enter(self, row: Row) -> None:
        self._counts[row.platform][row.status] += 1
        self._pending += row.status.pending
        self._orders.enter(row)

    def _leave(self, row: Row) -> None:
        self._counts[row.platform][row.status] -= 1
        self._pending -= row.status.pending
        self._orders.leave(row)

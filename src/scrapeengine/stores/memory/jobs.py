"""Jobs on dicts and ordered lists: the tables of `memory`."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from heapq import merge
from itertools import islice, takewhile
from typing import Any, TypeAlias

import attrs

from scrapeengine.decide.poison import is_suspect
from scrapeengine.model.job import Content, JobStatus, Ticket
from scrapeengine.stores.memory.ordered import Ordered
from scrapeengine.stores.rules.rows import Marks, Row, Texts, place

__all__ = ["DictJobTable"]

Name: TypeAlias = tuple[str, str]
"""A platform and an id."""
Time: TypeAlias = tuple[float, int, Name]
"""When something is to happen to a job, and its turn among those at one time."""
_Place: TypeAlias = tuple[tuple[int, int], str]
_Age: TypeAlias = tuple[float, int]


@attrs.define(eq=False, repr=False)
class Orders:
    """Each job stands where its status gives it a place. What it stands by must not change meanwhile."""

    delayed: Ordered[Time] = attrs.field(factory=Ordered, init=False)
    """By when they are due."""
    leased: Ordered[Time] = attrs.field(factory=Ordered, init=False)
    """By when their leases end."""
    free: Ordered[Time] = attrs.field(factory=Ordered, init=False)
    """By when they may be dropped."""
    expiring: Ordered[Time] = attrs.field(factory=Ordered, init=False)
    """By when they are not known any more."""
    ready: dict[str, Ordered[_Place]] = attrs.field(factory=lambda: defaultdict(Ordered), init=False)
    """By platform, as they are to be claimed."""
    ages: dict[str, Ordered[_Age]] = attrs.field(factory=lambda: defaultdict(Ordered), init=False)
    """The ready ones by platform, by when they were enqueued."""
    named: dict[JobStatus, Ordered[Name]] = attrs.field(factory=lambda: defaultdict(Ordered), init=False)
    """All of them by status, by their names."""
    dues: Counter[tuple[str, float]] = attrs.field(factory=Counter, init=False)
    """The number of a platform's delayed jobs that are due at one time."""

    def enter(self, row: Row) -> None:
        """Put a job into its places."""
        name = (row.platform, row.id)
        self.named[row.status].add(name)
        if row.status is JobStatus.READY:
            self.ready[row.platform].add((place(row), row.id))
            self.ages[row.platform].add((row.enqueued, row.seq))
        elif row.status is JobStatus.DELAYED:
            self.delayed.add((_at(row.due), row.seq, name))
            self.dues[row.platform, _at(row.due)] += 1
        elif row.status is JobStatus.LEASED:
            self.leased.add((_at(row.due), row.token, name))
        else:
            self.free.add((_at(row.free), row.seq, name))
            self.expiring.add((_at(row.expires), row.seq, name))

    def leave(self, row: Row) -> None:
        """Take a job out of its places."""
        name = (row.platform, row.id)
        self.named[row.status].remove(name)
        if row.status is JobStatus.READY:
            self._leave_queue(row)
        elif row.status is JobStatus.DELAYED:
            self.delayed.remove((_at(row.due), row.seq, name))
            self.dues[row.platform, _at(row.due)] -= 1
            if not self.dues[row.platform, _at(row.due)]:
                del self.dues[row.platform, _at(row.due)]
        elif row.status is JobStatus.LEASED:
            self.leased.remove((_at(row.due), row.token, name))
        else:
            self.free.remove((_at(row.free), row.seq, name))
            self.expiring.remove((_at(row.expires), row.seq, name))

    def _leave_queue(self, row: Row) -> None:
        self.ready[row.platform].remove((place(row), row.id))
        self.ages[row.platform].remove((row.enqueued, row.seq))
        if not self.ready[row.platform]:
            del self.ready[row.platform], self.ages[row.platform]


class DictJobTable:
    """The jobs; each stands in the orders that its status gives it a place in.

    Size: the methods of `JobTable`.
    """

    def __init__(self) -> None:
        self.marks = Marks()
        self._rows: dict[Name, Row] = {}
        self._texts: dict[Name, Texts] = {}
        self._counts: defaultdict[str, Counter[JobStatus]] = defaultdict(Counter)
        self._pending = 0
        self._crawling = 0
        self._suspects: dict[Name, Row] = {}
        self._recurring: Counter[str] = Counter()
        self._seq = 0
        self._token = 0
        self._orders = Orders()

    def find(self, platform: str, id: str) -> Row | None:
        """See `JobTable`."""
        return self._rows.get((platform, id))

    def add(self, row: Row, texts: Texts) -> None:
        """See `JobTable`."""
        name = (row.platform, row.id)
        self._rows[name] = row
        self._texts[name] = texts
        self._enter(row)
        self.marks.note(row, None)

    def change(self, row: Row, **values: Any) -> None:
        """See `JobTable`."""
        before = row.status
        self._leave(row)  # first: its places are found by what it has until now
        for field, value in values.items():
            setattr(row, field, value)
        self._enter(row)
        self.marks.note(row, before)

    def drop(self, row: Row) -> None:
        """See `JobTable`."""
        name = (row.platform, row.id)
        self._leave(row)
        del self._rows[name], self._texts[name]
        if not any(self._counts[row.platform].values()):
            del self._counts[row.platform]

    def texts(self, row: Row) -> Texts:
        """See `JobTable`."""
        return self._texts[row.platform, row.id]

    def write(self, row: Row, result: Content | None, error: str | None, history: str | None) -> None:
        """See `JobTable`."""
        self._texts[row.platform, row.id] = Texts(self.texts(row).payload, result, error, history)

    def rewrite(self, row: Row, payload: str) -> None:
        """See `JobTable`."""
        self._texts[row.platform, row.id] = attrs.evolve(self.texts(row), payload=payload)

    def ready(self, platform: str, n: int) -> list[Row]:
        """See `JobTable`."""
        queue = self._orders.ready.get(platform, ())
        if not self._suspects:
            return [self._rows[platform, name] for _, name in islice(queue, n)]
        rows = (self._rows[platform, name] for _, name in queue)
        return list(islice((row for row in rows if not is_suspect(row.deaths)), n))

    def suspects(self) -> int:
        """See `JobTable`."""
        return len(self._suspects)

    def suspected(self, platform: str | None) -> Row | None:
        """See `JobTable`."""
        rows = (row for row in self._suspects.values() if platform in {None, row.platform})
        ready = (row for row in rows if row.status is JobStatus.READY)
        return min(ready, key=lambda row: (row.deaths, place(row)), default=None)

    def died(self, after: float) -> float | None:
        """See `JobTable`."""
        ready = (row for row in self._suspects.values() if row.status is JobStatus.READY)
        return min((row.died for row in ready if row.died is not None and row.died > after), default=None)

    def is_tried(self) -> bool:
        """See `JobTable`."""
        return any(row.status is JobStatus.LEASED for row in self._suspects.values())

    def pardon(self) -> None:
        """See `JobTable`."""
        for row in list(self._rows.values()):
            if row.deaths:
                self.change(row, deaths=0)

    def held(self, opening: int) -> list[Row]:
        """See `JobTable`."""
        return [row for row in self._named(list(self._orders.leased)) if row.opening == opening]

    def leased(self, ticket: Ticket) -> Row | None:
        """See `JobTable`: names always lead to jobs here."""
        del ticket
        return None

    def before(self, row: Row) -> int:
        """See `JobTable`."""
        return self._orders.ready[row.platform].place((place(row), row.id))

    def listed(self, statuses: Collection[JobStatus], platform: str | None, after: Name | None, n: int) -> list[Row]:
        """See `JobTable`."""
        first: Any = after if after is not None and (platform is None or after[0] >= platform) else (platform or "",)
        found: Iterator[Name] = iter(merge(*(self._orders.named[status].behind(first) for status in statuses)))
        if platform is not None:
            found = takewhile(lambda name: name[0] == platform, found)
        return [self._rows[name] for name in islice(found, n)]

    def returned(self, platform: str) -> list[Row]:
        """See `JobTable`."""
        rows = self._named(list(self._orders.delayed))
        return [row for row in rows if row.owner is not None and row.platform == platform]

    def due(self, at: float, n: int) -> list[Row]:
        """See `JobTable`."""
        return self._named(self._orders.delayed.through(at, n))

    def lapsed(self, at: float, n: int) -> list[Row]:
        """See `JobTable`."""
        return self._named(self._orders.leased.through(at, n))

    def recurring(self, ids: Collection[str] | None) -> list[Row]:
        """See `JobTable`."""
        wanted = None if ids is None else frozenset(ids)
        rows = self._named(list(self._orders.delayed))
        return [row for row in rows if row.cadence is not None and (wanted is None or row.id in wanted)]

    def delayed_at(self, platform: str, due: float) -> bool:
        """See `JobTable`."""
        return self._orders.dues[platform, due] > 0

    def expired(self, now: float, n: int) -> list[Row]:
        """See `JobTable`."""
        return self._named(self._orders.expiring.through(now, n))

    def droppable(self, now: float, n: int) -> list[Row]:
        """See `JobTable`."""
        return self._named(self._orders.free.through(now, n))

    def counts(self) -> Mapping[str, Mapping[JobStatus, int]]:
        """See `JobTable`."""
        return self._counts

    def recur(self) -> Mapping[str, int]:
        """See `JobTable`."""
        return self._recurring

    def platforms(self, status: JobStatus) -> Collection[str]:
        """See `JobTable`."""
        if status is JobStatus.READY:
            return self._orders.ready
        return [platform for platform, counts in self._counts.items() if counts[status]]

    def total(self, *, pending: bool) -> int:
        """See `JobTable`."""
        return self._pending if pending else len(self._rows) - self._pending

    def crawling(self) -> int:
        """See `JobTable`."""
        return self._crawling

    def oldest(self, platform: str) -> float | None:
        """See `JobTable`."""
        ages = self._orders.ages.get(platform)
        return None if ages is None else ages.first(1)[0][0]

    def next_time(self, asleep: float) -> float | None:
        """See `JobTable`."""
        dues = [at - asleep for at, _, _ in self._orders.delayed.first(1)]
        ends = [at for at, _, _ in self._orders.leased.first(1)]
        return min((*dues, *ends), default=None)

    def next_seq(self) -> int:
        """See `JobTable`."""
        self._seq += 1
        return self._seq

    def next_token(self) -> int:
        """See `JobTable`."""
        self._token += 1
        return self._token

    def _named(self, items: list[Time]) -> list[Row]:
        return [self._rows[name] for _, _, name in items]

    def _enter(self, row: Row) -> None:
        self._counts[row.platform][row.status] += 1
        if row.status.pending:
            self._pending += 1
            self._crawling += row.followed
            if row.cadence is not None:
                self._recurring[row.platform] += 1
        if is_suspect(row.deaths):
            self._suspects[row.platform, row.id] = row
        self._orders.enter(row)

    def _leave(self, row: Row) -> None:
        self._counts[row.platform][row.status] -= 1
        if row.status.pending:
            self._pending -= 1
            self._crawling -= row.followed
            if row.cadence is not None:
                self._recurring[row.platform] -= 1
                if not self._recurring[row.platform]:
                    del self._recurring[row.platform]
        self._suspects.pop((row.platform, row.id), None)
        self._orders.leave(row)


def _at(time: float | None) -> float:
    assert time is not None, "the status of a job says which of its times are set"
    return time

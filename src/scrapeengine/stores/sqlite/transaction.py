"""Calls run in one transaction, each in a savepoint of its own. All of it in the connection's thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import attrs

from scrapeengine.errors import StoreError
from scrapeengine.stores.clock import Clock
from scrapeengine.stores.moment import Moment, is_of, later, restarted
from scrapeengine.stores.policy import StorePolicy
from scrapeengine.stores.rules.leasing import restart
from scrapeengine.stores.rules.rows import Marks
from scrapeengine.stores.rules.tables import Tables
from scrapeengine.stores.sqlite.beside import SqlOutboxTable, SqlPageTable, SqlSeenTable, SqlSharingTable
from scrapeengine.stores.sqlite.driver import has_moved, is_busy
from scrapeengine.stores.sqlite.jobs import SqlJobTable
from scrapeengine.stores.sqlite.schema import Transaction
from scrapeengine.stores.sqlite.staging import SqlStagingTable
from scrapeengine.stores.sqlite.sums import Sums

if TYPE_CHECKING:
    from apsw import Connection

__all__ = ["Seen", "StoreCall", "transact"]

_MOVED = (
    "the file of the store was deleted or moved while it was open, and what is written there would not be found again: "
    "nothing was changed; put it back, or leave the store and open it anew"
)


@attrs.define(eq=False)
class StoreCall:
    """One call, and how it went; what it says holds once its transaction is committed."""

    rule: Callable[[Tables], Any]
    """The rule to run."""
    reads: bool
    """Whether it changes nothing."""
    answer: Any = attrs.field(default=None, init=False)
    error: BaseException | None = attrs.field(default=None, init=False)
    marks: Marks = attrs.field(factory=Marks, init=False)


class Seen(NamedTuple):
    """The store as a transaction has seen it last."""

    moment: Moment
    pending: int
    """The number of jobs that were pending."""
    coming: int
    """The number of those that were taken and are to become jobs."""


class SqlTables:
    """All that a file keeps, within one transaction.

    Size: what `Tables` has, and the moment at which it all began.
    """

    def __init__(self, db: Connection, policy: StorePolicy, clock: Clock) -> None:
        self.policy = policy
        self.marks = Marks()
        self.sums = Sums(db)
        # Only now: what others have written down before this transaction was written no later than this.
        reading = clock.read()
        self.before = Moment.of(self.sums.numbers)
        self.known = is_of(self.before, reading)
        """Whether the file was used by this clock last."""
        self.moment = later(self.before, reading) if self.known else restarted(self.before, reading)
        self.jobs = SqlJobTable(db, self.sums)
        self.pages = SqlPageTable(db, self.sums)
        self.seen = SqlSeenTable(db, self.sums)
        self.outbox = SqlOutboxTable(db)
        self.staging = SqlStagingTable(db, self.sums)
        self.sharing = SqlSharingTable(db)
        self._db = db

    @property
    def awake(self) -> float:
        """See `Tables`."""
        return self.moment.awake

    @property
    def now(self) -> float:
        """See `Tables`."""
        return self.moment.now

    @property
    def version(self) -> int:
        """See `Tables`."""
        return int(self._db.pragma("data_version"))

    def begin(self) -> Marks:
        """Begin a call: what it changes goes into new marks."""
        self.sums.begin()
        self.marks = self.jobs.marks = Marks(self.moment.asleep)
        return self.marks

    def standing(self) -> Seen:
        """Return how things stand after the last call, and before they are written down."""
        self.sums.begin()  # a call that has failed has left its sums behind
        return Seen(self.moment, self.jobs.total(pending=True), self.staging.coming())

    def write(self) -> None:
        """Write what is to be written once: sums, and the moment at which all that was changed was changed."""
        names, before = Moment._fields, self.before if self.known else (None,) * len(Moment._fields)
        fresh = {name: now for name, now, then in zip(names, self.moment, before, strict=True) if now != then}
        self.sums.put(fresh)
        self.sums.write()


def transact(db: Connection, calls: Sequence[StoreCall], policy: StorePolicy, clock: Clock) -> Seen:
    """Run calls in one transaction, and return how things stand at its end.

    Raises:
        apsw.Error: nothing was changed by any of them.
    """
    # What only reads needs nobody's leave (https://www.sqlite.org/wal.html), but where another clock was used before.
    if all(call.reads for call in calls):
        with Transaction(db, "BEGIN"):
            tables = SqlTables(db, policy, clock)
            if tables.known:
                _attempt_all(db, tables, calls)
                return tables.standing()
    with Transaction(db, "BEGIN IMMEDIATE"):
        changes = db.total_changes()
        tables = SqlTables(db, policy, clock)
        if not tables.known:
            tables.begin()
            restart(tables, tables.before)
            tables.sums.settle()
        _attempt_all(db, tables, calls)
        seen = tables.standing()
        # The moment is written down beside what was changed at it: no later transaction may begin before it.
        if not tables.known or db.total_changes() != changes:
            tables.write()
            if has_moved(db):
                raise StoreError(_MOVED)
        return seen


def _attempt_all(db: Connection, tables: SqlTables, calls: Sequence[StoreCall]) -> None:
    for call in calls:
        _attempt(db, tables, call)


def _attempt(db: Connection, tables: SqlTables, call: StoreCall) -> None:
    call.marks, call.error = tables.begin(), None
    db.execute("SAVEPOINT call")
    try:
        call.answer = call.rule(tables)
    except Exception as error:
        # On some errors SQLite takes the whole transaction back (https://www.sqlite.org/lang_transaction.html).
        if is_busy(error) or not db.in_transaction:
            raise
        call.error, call.marks = error, Marks()
        db.execute("ROLLBACK TO call")
    else:
        tables.sums.settle()
    db.execute("RELEASE call")

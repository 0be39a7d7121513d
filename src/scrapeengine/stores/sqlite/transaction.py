"""Calls run in one transaction, each in a savepoint of its own. All of it in the connection's thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import attrs

from scrapeengine.errors import StoreError
from scrapeengine.stores.clock import Clock
from scrapeengine.stores.moment import Moment, is_of, later, restarted
from scrapeengine.stores.policy import StorePolicy
from scrapeengine.stores.rules.deaths import bury
from scrapeengine.stores.rules.leasing import restart
from scrapeengine.stores.rules.rows import Marks
from scrapeengine.stores.rules.tables import Death, Tables
from scrapeengine.stores.sqlite.beside import SqlOutboxTable, SqlPageTable, SqlSeenTable, SqlSharingTable
from scrapeengine.stores.sqlite.driver import has_moved, is_busy
from scrapeengine.stores.sqlite.jobs import SqlJobTable
from scrapeengine.stores.sqlite.liveness import Liveness
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
    freed: Sequence[Marks] = ()
    """Changes that belong to no call: what the dead held is free."""


class SqlTables:
    """All that a file keeps, within one transaction.

    Size: what `Tables` has, and the moment at which it all began.
    """

    def __init__(self, db: Connection, policy: StorePolicy, clock: Clock, liveness: Liveness) -> None:
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
        self._liveness = liveness
        if liveness.began is None:
            liveness.began = self.awake
        self.began = liveness.began

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

    @property
    def opening(self) -> int | None:
        """See `Tables`."""
        return self._liveness.enter(self._db)

    def strike(self, opening: int) -> bool:
        """See `Tables`."""
        self._db.execute("DELETE FROM openings WHERE number = ?", (opening,))
        return bool(self._db.changes())

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
        # With the first of what it has taken, in one commit, its number; and again where that was taken back.
        if self._liveness.number is not None and not self._liveness.stored:
            self._db.execute("INSERT OR IGNORE INTO openings VALUES (?)", (self._liveness.number,))


def transact(db: Connection, calls: Sequence[StoreCall], policy: StorePolicy, clock: Clock, liveness: Liveness) -> Seen:
    """Run calls in one transaction, and return how things stand at its end.

    Raises:
        apsw.Error: nothing was changed by any of them.
    """
    dead = liveness.look(db, clock.awake())
    # What only reads needs nobody's leave (https://www.sqlite.org/wal.html), but where another clock was used before.
    if not dead and all(call.reads for call in calls):
        with Transaction(db, "BEGIN"):
            tables = SqlTables(db, policy, clock, liveness)
            if tables.known:
                _attempt_all(db, tables, calls)
                return tables.standing()
    buried: list[Death] = []
    with Transaction(db, "BEGIN IMMEDIATE"):
        changes = db.total_changes()
        tables = SqlTables(db, policy, clock, liveness)
        if not tables.known:
            tables.begin()
            restart(tables, tables.before)
            tables.sums.settle()
        freed = _free(db, tables, dead, buried)
        _attempt_all(db, tables, calls)
        blocked = [call for call in calls if call.marks.blocked]
        if blocked and (dead := liveness.look(db, clock.awake(), soon=True)):
            freed += _free(db, tables, dead, buried)
            _attempt_all(db, tables, blocked)
        seen = tables.standing()._replace(freed=freed)
        # The moment is written down beside what was changed at it: no later transaction may begin before it.
        writes = not tables.known or db.total_changes() != changes
        if writes:
            tables.write()
            if has_moved(db):
                raise StoreError(_MOVED)
    # Only now: all of it may have been taken back.
    liveness.stored = liveness.number is not None and (liveness.stored or writes)
    liveness.bury(buried)
    return seen


def _free(db: Connection, tables: SqlTables, dead: Sequence[Death], buried: list[Death]) -> list[Marks]:
    """Free what the dead held, and return what that has changed; if that fails they hold it for their leases."""
    freed = []
    for death in dead:
        freeing = StoreCall(partial(bury, deaths=(death,)), reads=False)
        _attempt(db, tables, freeing)
        if freeing.error is None:
            buried.append(death)
            freed.append(freeing.marks)
    return freed


def _attempt_all(db: Connection, tables: SqlTables, calls: Sequence[StoreCall]) -> None:
    for call in calls:
        _attempt(db, tables, call)


def _attempt(db: Connection, tables: SqlTables, call: StoreCall) -> None:
    """Run a call; one that fails has changed nothing. One that only reads needs no savepoint for that."""
    call.marks, call.error = tables.begin(), None
    if not call.reads:
        db.execute("SAVEPOINT call")
    try:
        call.answer = call.rule(tables)
    except Exception as error:
        # On some errors SQLite takes the whole transaction back (https://www.sqlite.org/lang_transaction.html).
        if is_busy(error) or not db.in_transaction:
            raise
        call.error, call.marks = error, Marks()
        if not call.reads:
            db.execute("ROLLBACK TO call")
    else:
        tables.sums.settle()
    if not call.reads:
        db.execute("RELEASE call")

"""Calls run in one transaction, each in a savepoint of its own. All of it in the connection's thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from scrapeengine.stores.rows import Marks
from scrapeengine.stores.settings import Settings
from scrapeengine.stores.shelf import Shelf
from scrapeengine.stores.sqlite.beside import SqlOutbox, SqlPages, SqlPool
from scrapeengine.stores.sqlite.driver import is_busy
from scrapeengine.stores.sqlite.jobs import SqlJobs
from scrapeengine.stores.sqlite.schema import Transaction
from scrapeengine.stores.sqlite.sums import Sums

if TYPE_CHECKING:
    from apsw import Connection

__all__ = ["Call", "transact"]


@attrs.define(eq=False)
class Call:
    """One call, and how it went; what it says holds once its transaction is committed."""

    rule: Callable[[Shelf], Any]
    """What to do."""
    reads: bool
    """Whether it changes nothing."""
    answer: Any = attrs.field(default=None, init=False)
    error: BaseException | None = attrs.field(default=None, init=False)
    marks: Marks = attrs.field(factory=Marks, init=False)


class SqlShelf:
    """All that a file keeps, within one transaction."""

    def __init__(self, db: Connection, settings: Settings, now: float) -> None:
        self.settings = settings
        self.now = now
        self.marks = Marks()
        self.sums = Sums(db)
        self.jobs = SqlJobs(db, self.sums)
        self.pages = SqlPages(db, self.sums)
        self.outbox = SqlOutbox(db)
        self.pool = SqlPool(db)
        self._db = db

    @property
    def version(self) -> int:
        """See `Shelf`."""
        return int(self._db.pragma("data_version"))

    def begin(self) -> Marks:
        """Begin a call: what it changes goes into new marks."""
        self.sums.begin()
        self.marks = self.jobs.marks = Marks()
        return self.marks


def transact(db: Connection, calls: Sequence[Call], settings: Settings, now: float) -> None:
    """Run calls in one transaction.

    Raises:
        apsw.Error: nothing was changed by any of them.
    """
    # What only reads needs nobody's leave (https://www.sqlite.org/wal.html).
    with Transaction(db, "BEGIN" if all(call.reads for call in calls) else "BEGIN IMMEDIATE"):
        shelf = SqlShelf(db, settings, now)
        for call in calls:
            _attempt(db, shelf, call)
        shelf.sums.write()


def _attempt(db: Connection, shelf: SqlShelf, call: Call) -> None:
    call.marks, call.error = shelf.begin(), None
    db.execute("SAVEPOINT call")
    try:
        call.answer = call.rule(shelf)
    except Exception as error:
        # On some errors SQLite takes the whole transaction back (https://www.sqlite.org/lang_transaction.html).
        if is_busy(error) or not db.in_transaction:
            raise
        call.error, call.marks = error, Marks()
        db.execute("ROLLBACK TO call")
    else:
        shelf.sums.settle()
    db.execute("RELEASE call")

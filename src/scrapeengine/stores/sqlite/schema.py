"""The tables of a file, and how an older file becomes a newer one.

`jobs` has what changes often, `texts` what is large: a claim rewrites the one, and leaves the other alone. `counts`,
`ranks` and `numbers` are sums over `jobs`, kept in step in the same transaction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scrapeengine.errors import StoreError
from scrapeengine.model.job import JobStatus

if TYPE_CHECKING:
    from apsw import Connection

__all__ = ["APPLICATION_ID", "CODES", "MIGRATIONS", "RECURRING", "STATUSES", "Transaction", "migrate", "set_up"]

APPLICATION_ID = 0x53634A62
"""The number that tells a store from other files of SQLite: "ScJb"."""

STATUSES = (
    JobStatus.READY,
    JobStatus.DELAYED,
    JobStatus.LEASED,
    JobStatus.DONE,
    JobStatus.SKIPPED,
    JobStatus.FAILED,
    JobStatus.CANCELLED,
)
"""By their codes in a file. Only ever append."""
CODES = {status: code for code, status in enumerate(STATUSES)}
RECURRING = -1
"""Stands among the statuses in `counts`, for the pending jobs that recur."""

_FIRST = (
    """CREATE TABLE jobs (
        number INTEGER PRIMARY KEY, platform TEXT NOT NULL, id TEXT NOT NULL, status INTEGER NOT NULL,
        priority INTEGER NOT NULL, enqueued REAL NOT NULL, seq INTEGER NOT NULL, due REAL, cadence TEXT,
        attempts INTEGER NOT NULL, token INTEGER NOT NULL, accepted INTEGER NOT NULL, owner TEXT,
        finished REAL, free REAL, expires REAL, UNIQUE (platform, id))""",
    "CREATE INDEX jobs_ready ON jobs (platform, priority DESC, seq) WHERE status = 0",
    "CREATE INDEX jobs_age ON jobs (platform, enqueued) WHERE status = 0",
    "CREATE INDEX jobs_delayed ON jobs (due, seq) WHERE status = 1",
    "CREATE INDEX jobs_dues ON jobs (platform, due) WHERE status = 1",
    "CREATE INDEX jobs_recurring ON jobs (id) WHERE status = 1 AND cadence IS NOT NULL",
    "CREATE INDEX jobs_leased ON jobs (due, token) WHERE status = 2",
    "CREATE INDEX jobs_free ON jobs (free, seq) WHERE free IS NOT NULL",
    "CREATE INDEX jobs_expires ON jobs (expires, seq) WHERE expires IS NOT NULL",
    "CREATE TABLE texts (number INTEGER PRIMARY KEY, payload TEXT NOT NULL, result, error TEXT, history TEXT)",
    """CREATE TABLE counts (
        platform TEXT, status INTEGER, n INTEGER NOT NULL, PRIMARY KEY (platform, status)) WITHOUT ROWID""",
    "CREATE INDEX counts_some ON counts (status, platform, n) WHERE n > 0",
    """CREATE TABLE ranks (
        platform TEXT, level INTEGER, prefix BLOB, digit INTEGER, n INTEGER NOT NULL,
        PRIMARY KEY (platform, level, prefix, digit)) WITHOUT ROWID""",
    "CREATE TABLE numbers (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
    """CREATE TABLE pages (
        platform TEXT, url TEXT, etag TEXT, last_modified TEXT, written INTEGER NOT NULL,
        PRIMARY KEY (platform, url)) WITHOUT ROWID""",
    "CREATE UNIQUE INDEX pages_written ON pages (written)",
    """CREATE TABLE outbox (
        platform TEXT, id TEXT, token INTEGER, outcome TEXT NOT NULL, until REAL NOT NULL,
        PRIMARY KEY (platform, id, token))""",
    "CREATE INDEX outbox_until ON outbox (until, token)",
    "CREATE TABLE locks (name TEXT PRIMARY KEY, owner TEXT NOT NULL, until REAL NOT NULL) WITHOUT ROWID",
    """CREATE TABLE stakes (
        platform TEXT, owner TEXT, slots INTEGER NOT NULL, wanted INTEGER NOT NULL, held INTEGER NOT NULL,
        served REAL NOT NULL, until REAL NOT NULL, PRIMARY KEY (platform, owner)) WITHOUT ROWID""",
    "CREATE TABLE gates (platform TEXT PRIMARY KEY, tat REAL NOT NULL, closed_until REAL) WITHOUT ROWID",
)

_SECOND = (
    # Times were Unix times by a clock that nobody had looked after: these it has shown for certain.
    """INSERT INTO numbers SELECT 'awake', ifnull(max(at), 0) FROM (
        SELECT max(enqueued) AS at FROM jobs UNION ALL SELECT max(finished) FROM jobs
        UNION ALL SELECT max(served) FROM stakes)""",
    "ALTER TABLE pages ADD COLUMN vary TEXT",
)
"""From now on times are by the store's own clock, whose moments stand in `numbers` (`stores.moment`)."""

_THIRD = (
    # What was reserved before stays in `tat`, whole.
    "ALTER TABLE gates ADD COLUMN interval REAL",
    "ALTER TABLE gates ADD COLUMN counted REAL NOT NULL DEFAULT -1e999",
    "ALTER TABLE stakes ADD COLUMN times TEXT NOT NULL DEFAULT '[]'",
    "CREATE INDEX jobs_ended ON jobs (status, platform, id) WHERE status >= 3",
    "CREATE INDEX jobs_returned ON jobs (platform, due, seq) WHERE status = 1 AND owner IS NOT NULL",
    "ALTER TABLE jobs ADD COLUMN within REAL",
    "ALTER TABLE texts ADD COLUMN given INTEGER",
    "ALTER TABLE texts ADD COLUMN left INTEGER",
    "CREATE TABLE batches (number INTEGER PRIMARY KEY, until REAL NOT NULL, taken REAL, replaces INTEGER NOT NULL)",
    """CREATE TABLE staged (
        place INTEGER PRIMARY KEY, platform TEXT NOT NULL, id TEXT NOT NULL, payload TEXT NOT NULL,
        priority INTEGER NOT NULL, delay REAL NOT NULL, cadence TEXT, interval REAL)""",
    "ALTER TABLE jobs ADD COLUMN followed INTEGER NOT NULL DEFAULT 0",
    "CREATE TABLE seen (crawl INTEGER, platform TEXT, id TEXT, PRIMARY KEY (crawl, platform, id)) WITHOUT ROWID",
    "ALTER TABLE gates ADD COLUMN openings INTEGER NOT NULL DEFAULT 0",
    "CREATE TABLE openings (number INTEGER PRIMARY KEY)",
    *(f"ALTER TABLE {table} ADD COLUMN opening INTEGER" for table in ("jobs", "outbox", "locks", "stakes")),
    "ALTER TABLE jobs ADD COLUMN deaths INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE jobs ADD COLUMN died REAL",
    "CREATE INDEX jobs_suspects ON jobs (status, platform, deaths, priority DESC, seq) WHERE deaths > 0",
    """INSERT INTO counts SELECT platform, -1, count(*) FROM jobs
        WHERE status < 3 AND cadence IS NOT NULL GROUP BY platform""",
)
"""`given` and `left` are checksums of what a job was enqueued with, and of what its last completion has left; NULL in
rows of earlier versions. `within` belongs to a cadence that was changed while its job was in hand. `opening` is through
whom something was taken: the number of a file whose lock says whether that one lives (`stores.sqlite.liveness`)."""

_FOURTH = (
    "ALTER TABLE gates ADD COLUMN paused INTEGER NOT NULL DEFAULT 0",
    "CREATE INDEX gates_shut ON gates (platform) WHERE paused OR closed_until IS NOT NULL",
)

_FIFTH = (
    # Until now whoever came next was to have them: the reader of a run, from now on.
    "ALTER TABLE outbox RENAME TO outbox_of_before",
    "DROP INDEX outbox_until",
    """CREATE TABLE outbox (
        platform TEXT, id TEXT, token INTEGER, sink TEXT, outcome TEXT NOT NULL, until REAL NOT NULL, opening INTEGER,
        PRIMARY KEY (platform, id, token, sink))""",
    "INSERT INTO outbox SELECT platform, id, token, '', outcome, until, opening FROM outbox_of_before",
    "DROP TABLE outbox_of_before",
    "CREATE INDEX outbox_until ON outbox (sink, until, token)",
    "CREATE TABLE positions (sink TEXT, slot TEXT, value TEXT NOT NULL, PRIMARY KEY (sink, slot)) WITHOUT ROWID",
)

_SIXTH = (
    # What a platform owes, by each of its rates: [[seconds between two requests, theoretical arrival time], …].
    "ALTER TABLE gates ADD COLUMN tats TEXT NOT NULL DEFAULT '[]'",
    "UPDATE gates SET tats = json_array(json_array(interval, tat)) WHERE interval > 0 AND tat > -1e300",
    "ALTER TABLE gates DROP COLUMN tat",
    "ALTER TABLE gates DROP COLUMN interval",
)

MIGRATIONS: tuple[tuple[str, ...], ...] = (_FIRST, _SECOND, _THIRD, _FOURTH, _FIFTH, _SIXTH)
"""The statements that make version n + 1 out of version n. Only ever append."""


def set_up(db: Connection, path: str, durability: str) -> None:
    """Make a file ready for use: refuse what is no store, and bring an older one up to date."""
    _settled_version(db, path)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL" if durability == "full" else "PRAGMA synchronous = NORMAL")
    db.execute("PRAGMA journal_size_limit = 67108864")
    db.execute("PRAGMA cache_size = -16000")
    migrate(db, path)


def migrate(db: Connection, path: str) -> None:
    """Bring a file up to date, in one transaction."""
    if _settled_version(db, path) == len(MIGRATIONS):
        return
    with Transaction(db):
        for statements in MIGRATIONS[_version(db, path) :]:
            for statement in statements:
                db.execute(statement)
        db.pragma("application_id", APPLICATION_ID)
        db.pragma("user_version", len(MIGRATIONS))


class Transaction:
    """One transaction that writes. Whatever is raised within, none is open afterwards."""

    def __init__(self, db: Connection, begin: str = "BEGIN IMMEDIATE") -> None:
        self._db = db
        self._begin = begin

    def __enter__(self) -> None:
        """Begin it."""
        self._db.execute(self._begin)

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        """Commit it, or take it back if anything was raised or the commit fails."""
        try:
            if kind is None:
                self._db.execute("COMMIT")
        finally:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")


def _settled_version(db: Connection, path: str) -> int:
    # In one transaction: others may be making the file a store between two questions.
    with Transaction(db, "BEGIN"):
        return _version(db, path)


def _version(db: Connection, path: str) -> int:
    application, version = int(db.pragma("application_id")), int(db.pragma("user_version"))
    if application == APPLICATION_ID:
        if version > len(MIGRATIONS):
            raise StoreError(
                f"{path!r} was written by a later scrapeengine (version {version} of its tables, this one knows "
                f"{len(MIGRATIONS)}): install that one, or give another path"
            )
        return version
    if application or version or db.execute("SELECT 1 FROM sqlite_schema").fetchone():
        raise StoreError(f"{path!r} is the database of another program: give the path of a store, or of a new file")
    return 0

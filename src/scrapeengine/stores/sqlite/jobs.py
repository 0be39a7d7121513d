"""Jobs in a file: the tables of `sqlite`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from functools import cache
from itertools import chain
from typing import TYPE_CHECKING, Any
from zlib import crc32

import attrs

from scrapeengine.decide.poison import MOST_DEATHS, is_suspect
from scrapeengine.model.job import Content, JobStatus, Ticket
from scrapeengine.stores.rules.rows import Marks, Row, Texts
from scrapeengine.stores.sqlite.driver import fetch, is_conflict
from scrapeengine.stores.sqlite.schema import CODES, RECURRING, STATUSES
from scrapeengine.stores.sqlite.sums import Sums

if TYPE_CHECKING:
    from apsw import Connection

__all__ = ["SqlJobTable"]

_FIELDS = tuple(field.name for field in attrs.fields(Row))
_COLUMNS = ", ".join(_FIELDS)
_ROWS = f"SELECT {_COLUMNS} FROM jobs "  # noqa: S608 - a fixed set
_STATUS = _FIELDS.index("status")
_INSERT = f"INSERT INTO jobs ({', '.join(_FIELDS[:-1])}) VALUES ({', '.join('?' * len(_FIELDS[:-1]))})"  # noqa: S608
_NEXT = """SELECT min(due) FROM (
    SELECT * FROM (SELECT due - ? AS due FROM jobs WHERE status = 1 ORDER BY jobs.due LIMIT 1)
    UNION ALL SELECT * FROM (SELECT due FROM jobs WHERE status = 2 ORDER BY due LIMIT 1))"""
_FIRST_ENDED = CODES[JobStatus.DONE]
_INDEXES = {
    CODES[JobStatus.READY]: "jobs_ready",
    CODES[JobStatus.DELAYED]: "jobs_delayed",
    CODES[JobStatus.LEASED]: "jobs_leased",
}
_DAMAGED = Texts(
    "", error="its row in the file of the store is damaged, so it was set aside; enqueue it again", damaged=True
)
_FEW = 1_000
"""The jobs of one status that are sorted to find the first of them."""
_ENDED = "ended"
_PENDING = "pending"
_CRAWLING = "crawling"
_SUSPECTS = "suspects"
_SUSPECT = f"deaths > 0 AND deaths < {MOST_DEATHS}"


class SqlJobTable:
    """The jobs, within one transaction.

    Size: the methods of `JobTable`.
    """

    def __init__(self, db: Connection, sums: Sums) -> None:
        self.marks = Marks()
        self._db = db
        self._cursor = db.cursor()
        """Runs what is asked for each job: one that is made anew each time takes a tenth of that."""
        self._sums = sums

    def find(self, platform: str, id: str) -> Row | None:
        """See `JobTable`."""
        rows = self._rows("WHERE platform = ? AND id = ?", platform, id)
        return rows[0] if rows else None

    def add(self, row: Row, texts: Texts) -> None:
        """See `JobTable`."""
        values = [getattr(row, field) for field in _FIELDS[:-1]]
        values[_STATUS] = CODES[row.status]
        self._cursor.execute(_INSERT, values)
        row.number = self._db.last_insert_rowid()
        left = (texts.result, texts.error, texts.history)
        held = (row.number, texts.payload, *left, _sum(row.platform, row.id, texts.payload), _sum(*left))
        self._cursor.execute("INSERT INTO texts VALUES (?, ?, ?, ?, ?, ?, ?)", held)
        self._stand(row, 1)
        self.marks.note(row, None)

    def change(self, row: Row, **values: Any) -> None:
        """See `JobTable`."""
        before = row.status
        self._stand(row, -1)
        for field, value in values.items():
            setattr(row, field, value)
        self._stand(row, 1)
        status = values.get("status")
        if status is not None:
            values["status"] = CODES[status]
        self._cursor.execute(_update_of(tuple(values)), (*values.values(), row.number))
        self.marks.note(row, before)

    def drop(self, row: Row) -> None:
        """See `JobTable`."""
        self._db.execute("DELETE FROM jobs WHERE number = ?", (row.number,))
        self._db.execute("DELETE FROM texts WHERE number = ?", (row.number,))
        self._stand(row, -1)

    def texts(self, row: Row) -> Texts:
        """See `JobTable`."""
        query = "SELECT payload, result, error, history, given, left FROM texts WHERE number = ?"
        try:
            payload, *left, given, sum_left = fetch(self._cursor, query, (row.number,))[0]
        except (UnicodeDecodeError, IndexError):  # what was written was in UTF-8, and there
            return _DAMAGED
        if given not in {None, _sum(row.platform, row.id, payload)} or sum_left not in {None, _sum(*left)}:
            return _DAMAGED
        return Texts(payload, *left)

    def write(self, row: Row, result: Content | None, error: str | None, history: str | None) -> None:
        """See `JobTable`."""
        query = "UPDATE texts SET result = ?, error = ?, history = ?, left = ? WHERE number = ?"
        self._cursor.execute(query, (result, error, history, _sum(result, error, history), row.number))

    def rewrite(self, row: Row, payload: str) -> None:
        """See `JobTable`."""
        query = "UPDATE texts SET payload = ?, given = ? WHERE number = ?"
        self._db.execute(query, (payload, _sum(row.platform, row.id, payload), row.number))

    def ready(self, platform: str, n: int) -> list[Row]:
        """See `JobTable`."""
        where = f"WHERE status = 0 AND platform = ? AND NOT ({_SUSPECT}) ORDER BY priority DESC, seq LIMIT ?"
        return self._rows(where, platform, n)

    def suspects(self) -> int:
        """See `JobTable`."""
        return self._sums.number(_SUSPECTS)

    def suspected(self, platform: str | None) -> Row | None:
        """See `JobTable`."""
        if not self.suspects():
            return None
        where, bindings = ("", ()) if platform is None else ("AND platform = ? ", (platform,))
        query = f"WHERE {_SUSPECT} AND status = 0 {where}ORDER BY deaths, priority DESC, seq LIMIT 1"
        rows = self._rows(query, *bindings)
        return rows[0] if rows else None

    def died(self, after: float) -> float | None:
        """See `JobTable`."""
        if not self.suspects():
            return None
        query = f"SELECT min(died) FROM jobs WHERE {_SUSPECT} AND status = 0 AND died > ?"  # noqa: S608 - as above
        at: float | None = fetch(self._db, query, (after,))[0][0]
        return at

    def is_tried(self) -> bool:
        """See `JobTable`."""
        return bool(fetch(self._db, f"SELECT 1 FROM jobs WHERE {_SUSPECT} AND status = 2 LIMIT 1"))  # noqa: S608 - as above

    def pardon(self) -> None:
        """See `JobTable`."""
        self._db.execute("UPDATE jobs SET deaths = 0 WHERE deaths > 0")
        self._sums.add(_SUSPECTS, -self.suspects())

    def held(self, opening: int) -> list[Row]:
        """See `JobTable`."""
        return self._rows("WHERE status = 2 AND opening = ? ORDER BY due, token", opening)

    def leased(self, ticket: Ticket) -> Row | None:
        """See `JobTable`."""
        where = "INDEXED BY jobs_leased WHERE status = 2 AND platform = ? AND id = ? AND token = ?"
        rows = self._rows(where, *ticket)
        if not rows:
            return None
        # The row is there, so it is the index that is damaged; SQLite will not take rows out of it as it is.
        try:
            self._db.execute("REINDEX jobs")
        except Exception as error:
            if not is_conflict(error):  # else somebody has enqueued it once more: then it stays as it is
                raise
        return rows[0]

    def before(self, row: Row) -> int:
        """See `JobTable`."""
        return self._sums.before(row.platform, row.priority, row.seq)

    def listed(
        self, statuses: Collection[JobStatus], platform: str | None, after: tuple[str, str] | None, n: int
    ) -> list[Row]:
        """See `JobTable`."""
        where, bindings = "", []
        if after is not None:
            where, bindings = " AND (platform, id) > (?, ?)", [*after]
        if platform is not None:
            where, bindings = f"{where} AND platform = ?", [*bindings, platform]
        order = " ORDER BY platform, id LIMIT ?"
        if len(statuses) == len(STATUSES):
            return self._rows(f"WHERE 1{where}{order}", *bindings, n)
        found = [
            self._rows(f"{self._scan_of(CODES[status])}{where}{order}", CODES[status], *bindings, n)
            for status in statuses
        ]
        return sorted(chain.from_iterable(found), key=lambda row: (row.platform, row.id))[:n]

    def _scan_of(self, code: int) -> str:
        """Say how to find the jobs of a status by platform and id.

        Those that have ended stand in that order. Of those that are pending a few are sorted; many are met soon enough
        on a walk through all: an index of them would be written with each change of a job, for a call that is rare.
        """
        if code >= _FIRST_ENDED:
            return "INDEXED BY jobs_ended WHERE status >= 3 AND status = ?"
        query = f"SELECT count(*) FROM (SELECT 1 FROM jobs WHERE status = {code:d} LIMIT {_FEW})"  # noqa: S608
        if fetch(self._db, query)[0][0] < _FEW:
            return f"INDEXED BY {_INDEXES[code]} WHERE status = {code:d} AND status = ?"
        return "WHERE +status = ?"

    def returned(self, platform: str) -> list[Row]:
        """See `JobTable`."""
        return self._rows("WHERE status = 1 AND owner IS NOT NULL AND platform = ? ORDER BY due, seq", platform)

    def due(self, at: float, n: int) -> list[Row]:
        """See `JobTable`."""
        return self._rows("WHERE status = 1 AND due <= ? ORDER BY due, seq LIMIT ?", at, n)

    def lapsed(self, at: float, n: int) -> list[Row]:
        """See `JobTable`."""
        return self._rows("WHERE status = 2 AND due <= ? ORDER BY due, token LIMIT ?", at, n)

    def recurring(self, ids: Collection[str] | None) -> list[Row]:
        """See `JobTable`."""
        where = "WHERE status = 1 AND cadence IS NOT NULL"
        if ids is None:
            return self._rows(f"{where} ORDER BY due, seq")
        rows = [row for each in set(ids) for row in self._rows(f"{where} AND id = ?", each)]
        return sorted(rows, key=lambda row: (row.due, row.seq))

    def delayed_at(self, platform: str, due: float) -> bool:
        """See `JobTable`."""
        query = "SELECT 1 FROM jobs WHERE status = 1 AND platform = ? AND due = ? LIMIT 1"
        return bool(fetch(self._db, query, (platform, due)))

    def expired(self, now: float, n: int) -> list[Row]:
        """See `JobTable`."""
        return self._rows("WHERE expires <= ? ORDER BY expires, seq LIMIT ?", now, n)

    def droppable(self, now: float, n: int) -> list[Row]:
        """See `JobTable`."""
        return self._rows("WHERE free <= ? ORDER BY free, seq LIMIT ?", now, n)

    def counts(self) -> Mapping[str, Mapping[JobStatus, int]]:
        """See `JobTable`."""
        found = self._sums.counts()
        return {
            platform: {STATUSES[code]: n for code, n in numbers.items() if code != RECURRING}
            for platform, numbers in found.items()
        }

    def recur(self) -> Mapping[str, int]:
        """See `JobTable`."""
        return self._sums.by_platform(RECURRING)

    def platforms(self, status: JobStatus) -> Collection[str]:
        """See `JobTable`."""
        return self._sums.by_platform(CODES[status]).keys()

    def total(self, *, pending: bool) -> int:
        """See `JobTable`."""
        return self._sums.number(_PENDING if pending else _ENDED)

    def crawling(self) -> int:
        """See `JobTable`."""
        return self._sums.number(_CRAWLING)

    def oldest(self, platform: str) -> float | None:
        """See `JobTable`."""
        query = "SELECT enqueued FROM jobs WHERE status = 0 AND platform = ? ORDER BY enqueued LIMIT 1"
        rows = fetch(self._db, query, (platform,))
        return rows[0][0] if rows else None

    def next_time(self, asleep: float) -> float | None:
        """See `JobTable`."""
        at: float | None = fetch(self._db, _NEXT, (asleep,))[0][0]
        return at

    def next_seq(self) -> int:
        """See `JobTable`."""
        return self._sums.add("seq", 1)

    def next_token(self) -> int:
        """See `JobTable`."""
        return self._sums.add("token", 1)

    def _rows(self, where: str, *bindings: str | float) -> list[Row]:
        try:
            return [_row(values) for values in fetch(self._cursor, _ROWS + where, bindings)]
        except UnicodeDecodeError:
            self._make_readable(fetch(self._db, f"SELECT number FROM jobs {where}", bindings))  # noqa: S608 - as above
            return [_row(values) for values in fetch(self._db, _ROWS + where, bindings)]

    def _make_readable(self, numbers: Iterable[tuple[int]]) -> None:
        """Give damaged rows ids that can be read; their checksums tell that they are others, so they are set aside."""
        for (number,) in numbers:
            try:
                fetch(self._db, f"{_ROWS} WHERE number = ?", (number,))
            except UnicodeDecodeError:
                ((held,),) = fetch(self._db, "SELECT CAST(id AS BLOB) FROM jobs WHERE number = ?", (number,))
                readable = f"{held.decode(errors='replace')} (damaged, {number})"
                query = "UPDATE jobs SET id = ?, cadence = NULL, owner = NULL WHERE number = ?"
                self._db.execute(query, (readable, number))

    def _stand(self, row: Row, n: int) -> None:
        self._sums.count(row.platform, CODES[row.status], n)
        self._sums.add(_PENDING if row.status.pending else _ENDED, n)
        if row.status is JobStatus.READY:
            self._sums.rank(row.platform, row.priority, row.seq, n)
        if row.followed and row.status.pending:
            self._sums.add(_CRAWLING, n)
        if row.deaths and is_suspect(row.deaths):
            self._sums.add(_SUSPECTS, n)
        if row.cadence is not None and row.status.pending:
            self._sums.count(row.platform, RECURRING, n)


def _sum(*texts: Content | None) -> int:
    """Return a checksum of texts, which tells where one ends and what it is."""
    parts = []
    for text in texts:
        if text is None:
            parts.append(b"n0:")
        else:
            kind, held = (b"s", text.encode()) if isinstance(text, str) else (b"b", text)
            parts += (b"%b%d:" % (kind, len(held)), held)
    return crc32(b"".join(parts))


def _row(values: Iterable[Any]) -> Row:
    fields = list(values)
    fields[_STATUS] = STATUSES[fields[_STATUS]]
    return Row(*fields)


@cache
def _update_of(fields: tuple[str, ...]) -> str:
    """Return the statement that sets fields of a job: each rule sets the same ones each time."""
    held = ", ".join(f"{field} = ?" for field in fields)
    return f"UPDATE jobs SET {held} WHERE number = ?"  # noqa: S608 - names of our own

"""Parquet: rows go to a spool (`spools`), which becomes a part, `out-000017.parquet`, at its end.

A part is made from the spool alone, so it can be made again, the same to the byte. It is written aside, synced, noted,
and renamed whole; only then is the spool removed. Whether that was done is seen by the word that they have:

    noted   aside   part
      no      ?      no    it is still to be made
      yes    yes     no    it has its rows, and is still to be renamed
      yes     no     no    somebody has taken it away: it was made
       ?      ?     yes    it was made
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import attrs

from scrapeengine.model.urls import told
from scrapeengine.sinks.columns import ColumnRows, check_schema
from scrapeengine.sinks.endings import Note, put_in_place, stat_of, sync_folder
from scrapeengine.sinks.naming import Layout
from scrapeengine.sinks.slots import Format
from scrapeengine.sinks.spools import Spooled, arrow, word_of

__all__ = ["PartsOfSpools", "parquet_format"]

_MODE = 0o600
_GROUP_ROWS, _GROUP_BYTES = 1 << 16, 16e6
"""How much is in one row group, and in memory, at most; but for what one flush has."""


def parquet_format(layout: Layout, schema: Any, encode: Callable[[Any], Any] | None, *, extra: bool) -> Format:
    """Make the format of files of Parquet.

    Args:
        layout: how the files are called.
        schema: a `pyarrow.Schema` of the values' columns; None: what the last part has, or the first batch.
        encode: makes something that JSON has of what it does not have.
        extra: whether what has no column, or is of another type, goes into the column "extra".

    Raises:
        ImportError: pyarrow is not installed.
        TypeError, ValueError: the schema is none, or cannot be written; says what to write.
    """
    arrow()
    if schema is not None:
        check_schema(schema)
    before = partial(_schema_before, layout)
    return Format(Spooled(), partial(ColumnRows, encode, schema, extra, before), PartsOfSpools(over=layout.replaces))


@attrs.frozen
class PartsOfSpools:
    """Spools become parts. Implements `endings.Ending`."""

    over: bool = False
    """Whether they take the place of what is there."""
    completes: bool = True

    def identity(self, file: int) -> int:
        """See `Ending`: the word of the spool. An inode is given away anew as soon as a spool is removed."""
        return _word_in(Spooled().head(file))

    def settle(self, path: str, closed: str, note: Note) -> None:
        """See `Ending`."""
        word = _spool_at(path)
        if word and _is_made(path, word, closed, note):
            _remove(path)

    def end(self, path: str, identity: int, size: int, closed: str, note: Note) -> None:
        """See `Ending`."""
        if _spool_at(path) != identity:
            return
        if self.over:
            os.truncate(path, size)
            _put(path, 0, closed, note)
        elif not _is_made(path, identity, closed, note):
            _refuse_another(path, closed)
            os.truncate(path, size)
            _put(path, identity, closed, note)
        _remove(path)


def _is_made(spool: str, word: int, closed: str, note: Note) -> bool:
    """Say whether the part of a spool was made; see that it gets its name, where who made it has died before that."""
    if _part_at(closed) == word:
        return True
    if note.identity() != word:
        return False
    aside = _aside(closed)
    if _part_at(aside) == word:
        _refuse_another(spool, closed)
        put_in_place(aside, closed)
    else:
        sync_folder(Path(closed).parent)  # who died may not have come to that, and the spool is removed now
    return True


def _refuse_another(spool: str, closed: str) -> None:
    if stat_of(closed) is not None:
        raise FileExistsError(f"{told(closed)} is there, and rows of {told(spool)} were to get that name: move it away")


def _put(spool: str, word: int, closed: str, note: Note) -> None:
    """Make the part of a spool, and give it its name; with a word that is noted in between."""
    aside = _aside(closed)
    try:
        _make(spool, aside)
        if word:
            note.keep(word)
        put_in_place(aside, closed)
    except BaseException:
        if stat_of(aside) is not None:
            if word and note.identity() == word:
                note.keep(0)  # first: what is noted and not there counts as taken away
            _forget(aside)  # on a full disk it is in the way of all else
        raise


def _aside(closed: str) -> str:
    return str(Path(closed).with_name(f".{Path(closed).name}.new"))


def _make(spool: str, aside: str) -> None:
    """Make the part of a spool, and see that it is on the disk."""
    file = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, _MODE)
    with os.fdopen(file, "wb") as out, arrow().OSFile(spool, "rb") as source:
        stream = arrow("pyarrow.ipc").open_stream(source)
        with arrow("pyarrow.parquet").ParquetWriter(out, stream.schema, compression="zstd") as writer:
            for group in _groups(stream):
                writer.write_table(arrow().Table.from_batches(group))
        out.flush()
        os.fsync(file)


def _groups(stream: Any) -> Iterator[list[Any]]:
    """Put the batches of a stream together, up to the size of a row group."""
    group: list[Any] = []
    rows, size = 0, 0
    for batch in stream:
        if group and (rows + batch.num_rows > _GROUP_ROWS or size + batch.nbytes > _GROUP_BYTES):
            yield group
            group, rows, size = [], 0, 0
        group.append(batch)
        rows, size = rows + batch.num_rows, size + batch.nbytes
    yield group


def _schema_before(layout: Layout) -> Any:
    """Return the schema of the part that was made last, of whichever slot; None: there is none that can be read."""
    newest = layout.newest()
    found = None if newest is None else _footer(newest)
    return found.schema.to_arrow_schema() if found is not None and word_of(found.metadata) else None


def _spool_at(path: str) -> int:
    if stat_of(path) is None:
        return 0
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return _word_in(Spooled().head(file))
    finally:
        os.close(file)


def _word_in(head: bytes) -> int:
    return word_of(arrow("pyarrow.ipc").read_schema(arrow().py_buffer(head)).metadata) if head else 0


def _part_at(path: str) -> int:
    found = _footer(path)
    return 0 if found is None else word_of(found.metadata)


def _footer(path: str) -> Any:
    """Read what is at the end of a part; None: it is none."""
    try:
        return arrow("pyarrow.parquet").read_metadata(path)
    except (OSError, ValueError):
        return None


def _forget(path: str) -> None:
    with suppress(OSError):
        os.unlink(path)  # noqa: PTH108 - paths are texts here


def _remove(path: str) -> None:
    os.unlink(path)  # noqa: PTH108 - as above
    sync_folder(Path(path).parent)

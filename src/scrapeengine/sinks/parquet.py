"""Parquet: rows go to a spool (`spools`), which becomes a part, `out-000017.parquet`, at its end.

A part is made from the spool alone, so it can be made again, the same to the byte. It is written aside, synced, and
renamed whole; only then is the spool removed. Whether that was done is seen by the word that both have.
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
from scrapeengine.sinks.endings import put_in_place, stat_of, sync_folder
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

    def settle(self, path: str, last: str) -> None:
        """See `Ending`."""
        word = _spool_at(path)
        if word and word == _part_at(last):
            _remove(path)

    def end(self, path: str, identity: int, size: int, closed: str) -> None:
        """See `Ending`."""
        if _spool_at(path) != identity:
            return
        there = stat_of(closed) is not None
        if there and not self.over and _part_at(closed) != identity:
            raise FileExistsError(
                f"{told(closed)} is there, and rows of {told(path)} were to get that name: move it away"
            )
        if self.over or not there:
            os.truncate(path, size)
            aside = str(Path(closed).with_name(f".{Path(closed).name}.new"))
            try:
                _make(path, aside)
                put_in_place(aside, closed)
            except BaseException:
                _forget(aside)  # on a full disk it is in the way of all else
                raise
        _remove(path)


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

"""Sinks by a name, for scripts."""

from __future__ import annotations

from typing import Any

from scrapeengine.model.sink import Sink
from scrapeengine.model.urls import told
from scrapeengine.sinks.database.opening import table_sink
from scrapeengine.sinks.files import file_sink

__all__ = ["open_sink"]


def open_sink(path: str, **options: Any) -> Sink[Any]:
    """Make a sink of the path of a file. It is opened with the first outcome, by the run.

        sinks=[se.sinks.open("out.jsonl.gz")]

    A file is JSON lines (".jsonl") or CSV (".csv"), compressed where ".gz" or ".zst" follows, or Parquet (".parquet").
    A row is one outcome: `id`, `platform`, `kind` ("success", "failure", "skipped", "cancelled"; "item" for each that
    was emitted), `value` or `error`, `attempts`, `elapsed` (seconds), `written` (when it was written). In CSV and
    Parquet a value that is an object has a column for each of its fields; in one whose name the file has itself, "id"
    say, it is called "value.id".

    Several processes write several files, `out.jsonl`, `out.2.jsonl`, and so on. In a run for a store each outcome is
    in one of them once, whatever is killed. What a process that is killed has left at the end of its file does not
    count, and is cut off by the next run. Without a store what was flushed is there; a line that was torn is cut off.

    "out.parquet" makes parts, `out-000001.parquet`, `out-000002.parquet`, and so on, each whole from when it is there
    (and `out.2-000001.parquet`, … of a second process). Rows wait in a spool, `.out.parquet.spool`, until that has
    `rotate_bytes` (64 MB), or the sink is closed; one that a killed process has left becomes a part when the next run
    opens the sink. Columns are typed: `schema`, or else those of the last part, or of the first batch (whole numbers,
    numbers, texts, bytes, booleans; anything else is a text of JSON). Needs the extra `parquet`.

    A URL is one table of a database (the extra `sql`), "sqlite:///odds.db/prices", "postgresql://host/odds/prices" or
    "mariadb://…": a row for each outcome, whose `item` is 0, and for each of its items, by `platform`, `id` and `item`;
    or `rows=` and `key=`, as `se.sinks.sql` has them, with `columns`, `types`, `create` (yes) and `timeout`.

    Args:
        path: where it is to be; its folder is to be there.
        **options: `name`, by which a store knows it (the file's name); `encode`, which makes something that JSON has of
            what it does not have; `columns` of a CSV file (those of the first outcomes), or the `schema` of Parquet, a
            `pyarrow.Schema` of the values' columns; `extra`, whether what has no column, or is not of its type, goes
            into one of that name as JSON, and is no error; `rotate_bytes` and `rotate_after` (seconds), from which on
            another file begins and this one is renamed, `out-000001.jsonl`; `replace`, in runs without a store: the
            file is written aside, and takes the place of what is there when the run ends, unless the sink has failed
            (with Parquet that is one file, `out.parquet`); and the fields of `SinkPolicy`: `size`, `linger`,
            `on_error`, `patience`, `aside`.

    Raises:
        TypeError: there is no such option, or it is none.
        ValueError: the path names no format that is known, or an option makes no sense; says what to write.
        ImportError: zstd, or pyarrow, is not installed.
    """
    if not isinstance(path, str) or not path:
        raise TypeError(f"open takes the path of a file, got {told(path)}; write open('out.jsonl')")
    if "://" in path:
        return table_sink(path, **options)
    return file_sink(path, **options)

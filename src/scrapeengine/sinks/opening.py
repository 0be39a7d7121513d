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

    A file is JSON lines (".jsonl") or CSV (".csv"), compressed where ".gz" or ".zst" follows. A row is one outcome:
    `id`, `platform`, `kind` ("success", "failure", "skipped", "cancelled"; "item" for each that was
    emitted), `value` or `error`, `attempts`, `elapsed`
    (seconds), `written` (when it was written). In CSV a value that is an object has a column for each of its fields.

    Several processes write several files, `out.jsonl`, `out.2.jsonl`, and so on. In a run for a store each outcome is
    in one of them once, whatever is killed. What a process that is killed has left at the end of its file does not
    count, and is cut off by the next run. Without a store what was flushed is there; a line that was torn is cut off.

    A URL is one table of a database (the extra `sql`), "sqlite:///odds.db/prices", "postgresql://host/odds/prices" or
    "mariadb://…": a row for each outcome, whose `item` is 0, and for each of its items, by `platform`, `id` and `item`;
    or `rows=` and `key=`, as `se.sinks.sql` has them, with `columns`, `types`, `create` (yes) and `timeout`.

    Args:
        path: where it is to be; its folder is to be there.
        **options: `name`, by which a store knows it (the file's name); `encode`, which makes something that JSON has of
            what it does not have; `columns` of a CSV file (those of the first outcomes), and `extra`, whether fields
            without a column go into one of that name, and are no error; `rotate_bytes` and `rotate_after` (seconds),
            from which on another file begins and this one is renamed, `out-000001.jsonl`; and the fields of
            `SinkPolicy`: `size`, `linger`, `on_error`, `patience`, `aside`.

    Raises:
        TypeError: there is no such option, or it is none.
        ValueError: the path names no format that is known, or an option makes no sense; says what to write.
        ImportError: zstd is not installed.
    """
    if not isinstance(path, str) or not path:
        raise TypeError(f"open takes the path of a file, got {told(path)}; write open('out.jsonl')")
    if "://" in path:
        return table_sink(path, **options)
    return file_sink(path, **options)

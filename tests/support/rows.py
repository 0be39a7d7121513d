"""Files of sinks, as a reader has them."""

import csv
import gzip
import importlib
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq


def zstd():
    """Return the library for zstd."""
    try:
        return importlib.import_module("compression.zstd")
    except ImportError:
        return importlib.import_module("backports.zstd")


def text_of(path):
    """Return what is in a file, which has to be whole."""
    data = path.read_bytes()
    if path.name.endswith(".gz"):
        data = gzip.decompress(data)
    elif path.name.endswith(".zst") and data:
        data = zstd().decompress(data)
    return data.decode()


def rows_of(folder, stem="out"):
    """List the rows of all files of a sink."""
    rows = []
    for path in sorted([*folder.glob(f"{stem}*"), *folder.glob(f".{stem}*.spool")]):
        if path.name.endswith(".parquet"):
            rows += pq.read_table(path).to_pylist()
            continue
        if path.name.endswith(".spool"):
            rows += spooled(folder, path)
            continue
        text = text_of(path)
        if ".csv" in path.name:
            rows += csv.DictReader(io.StringIO(text, newline=""))
        else:
            assert not text or text.endswith("\n")
            rows += map(json.loads, text.split("\n")[:-1])
    return rows


def spooled(folder, path):
    """List the rows of a spool, which has to be whole, and is in no part yet: it may be removed by who comes next."""
    data = path.read_bytes()
    if not data:
        return []
    table = pa.ipc.open_stream(data).read_all()
    parts = map(pq.read_metadata, folder.glob("*.parquet"))
    word = table.schema.metadata[b"scrapeengine.spool"]
    return [] if any(part.metadata[b"scrapeengine.spool"] == word for part in parts) else table.to_pylist()

"""Files of sinks, as a reader has them."""

import csv
import gzip
import importlib
import io
import json


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
    for path in sorted(folder.glob(f"{stem}*")):
        text = text_of(path)
        if ".csv" in path.name:
            rows += csv.DictReader(io.StringIO(text, newline=""))
        else:
            assert not text or text.endswith("\n")
            rows += map(json.loads, text.split("\n")[:-1])
    return rows

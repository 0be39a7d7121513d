"""How files are compressed: what one flush has written is one part, which can be read without any other.

A torn part that is followed by a good one is unreadable, and so is all behind it. So files end at the end of a part
before anything is added to them.
"""

from __future__ import annotations

import gzip
import importlib
import os
import zlib
from collections.abc import Callable
from typing import Any, Protocol

import attrs

__all__ = ["Codec", "codec_of"]

_BLOCK = 1 << 20


class Codec(Protocol):
    """Makes parts of a file."""

    def part(self, data: bytes) -> bytes:
        """Compress the bytes of one flush."""
        ...

    def whole(self, file: int) -> int:
        """Return where the last whole part of a file ends."""
        ...

    def head(self, file: int) -> bytes:
        """Return the first line of a file; none where it has none."""
        ...


@attrs.frozen
class Uncompressed:
    """Parts are rows."""

    _whole: Callable[[int], int]
    """Returns where the last whole row of a file ends."""

    def part(self, data: bytes) -> bytes:
        """See `Codec`."""
        return data

    def whole(self, file: int) -> int:
        """See `Codec`."""
        return self._whole(file)

    def head(self, file: int) -> bytes:
        """See `Codec`."""
        data, at = b"", 0
        while b"\n" not in data and (block := os.pread(file, _BLOCK, at)):
            data, at = data + block, at + len(block)
        return _first_line(data)


@attrs.frozen
class Compressed:
    """Parts are the members of gzip (RFC 1952), or the frames of zstd (RFC 8878)."""

    _compress: Callable[[bytes], bytes]
    _decoder: Callable[[], Any]
    """Makes a decompressor, which has `eof` and `unused_data`."""
    _failure: type[Exception]
    """What it raises where that is no part."""

    def part(self, data: bytes) -> bytes:
        """See `Codec`."""
        return self._compress(data)

    def whole(self, file: int) -> int:
        """See `Codec`. All of the file is read."""
        end, size = 0, os.fstat(file).st_size
        decoder = self._decoder()
        at = 0
        while at < size:
            data = os.pread(file, _BLOCK, at)
            at += len(data)
            while data:
                try:
                    decoder.decompress(data)
                except self._failure:
                    return end
                if not decoder.eof:
                    break
                data = decoder.unused_data
                end = at - len(data)
                decoder = self._decoder()
        return end

    def head(self, file: int) -> bytes:
        """See `Codec`."""
        found, decoder, at = b"", self._decoder(), 0
        try:
            while b"\n" not in found and not decoder.eof and (block := os.pread(file, _BLOCK, at)):
                found, at = found + decoder.decompress(block), at + len(block)
        except self._failure:
            return b""
        return _first_line(found)


def codec_of(suffix: str, whole: Callable[[int], int]) -> Codec:
    """Return the codec for the suffix of a file's name: ".gz", ".zst", or none.

    Args:
        suffix: the suffix.
        whole: returns where the last whole row of a file ends that is not compressed.

    Raises:
        ImportError: its library is not installed.
    """
    match suffix:
        case ".gz":
            return Compressed(lambda data: gzip.compress(data, 6, mtime=0), lambda: zlib.decompressobj(31), zlib.error)
        case ".zst":
            zstd = _zstd()
            return Compressed(zstd.compress, zstd.ZstdDecompressor, zstd.ZstdError)
        case _:
            return Uncompressed(whole)


def _zstd() -> Any:
    for name in ("compression.zstd", "backports.zstd"):
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    raise ImportError("a file with zstd needs its library: pip install 'scrapeengine[encodings]'")


def _first_line(data: bytes) -> bytes:
    line, newline, _ = data.partition(b"\n")
    return line.removesuffix(b"\r") if newline else b""

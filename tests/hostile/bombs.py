"""Bodies that are small on the wire and a gigabyte once decoded."""

from __future__ import annotations

import functools
import zlib

import brotli
from backports import zstd

GIGABYTE = 2**30
_ZEROS = bytes(2**20)


@functools.cache
def bombs():
    """Make them: a body by its coding."""
    return {"gzip": _gzip(), "deflate": _gzip(zlib.MAX_WBITS), "br": _br(), "zstd": _zstd()}


def _gzip(wbits=16 + zlib.MAX_WBITS):
    """Make one of pieces that are the same, which takes no time; its checksum, which no one reaches, is wrong."""
    packer = zlib.compressobj(9, zlib.DEFLATED, wbits)
    first = packer.compress(_ZEROS) + packer.flush(zlib.Z_FULL_FLUSH)
    piece = packer.compress(_ZEROS) + packer.flush(zlib.Z_FULL_FLUSH)
    return first + 1023 * piece + packer.flush()


def _br():
    packer = brotli.Compressor(quality=5, lgwin=24)
    return b"".join([packer.process(_ZEROS) for _ in range(1024)]) + packer.finish()


def _zstd():
    packer = zstd.ZstdCompressor()
    return b"".join([packer.compress(_ZEROS) for _ in range(1024)]) + packer.flush()


def answer(coding, body):
    """Make the answer that has such a body."""
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: %b\r\nContent-Length: %d\r\n\r\n" % (coding.encode(), len(body))
    return head + body

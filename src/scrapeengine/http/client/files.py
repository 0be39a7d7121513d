"""A file that is there whole or not at all: written beside the one that it replaces, then renamed.

Renaming is atomic within one folder only, so what is written until then stands in the same one. Its name there is
short, whatever the file's own: that may be as long as the file system takes, and of any bytes. The folder is opened
once, where the system can do that, and everything is done from there: its path may be as long as paths can be, so that
no longer name fits behind it; and it stays the same one when somebody renames it or changes the working directory.

Rejected: a name that begins with the file's own. It tells a reader of the folder whose it is, and is longer.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from typing import TypeAlias

import trio

__all__ = ["FilePath", "replacing"]

FilePath: TypeAlias = str | bytes | os.PathLike[str] | os.PathLike[bytes]
"""Names a file."""

_FROM_A_FOLDER = {os.open, os.rename, os.stat, os.unlink} <= os.supports_dir_fd
"""Whether the system finds files from a folder that is open; `replace` does where `rename` does."""
# O_PATH: one may put files into a folder that one must not list.
_FOLDER = getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_PATH", 0) | getattr(os, "O_CLOEXEC", 0)


@asynccontextmanager
async def replacing(path: FilePath) -> AsyncIterator[Callable[[bytes], Awaitable[int]]]:
    """Hand out what writes to a new file, which is at `path` once the context has been left without an error.

    It replaces what is there, a symbolic link itself and not what it leads to. It is its owner's alone (mode 0600).

    Raises:
        OSError: on entry, no such file can be there; in the end, it cannot be written.
        ValueError: the path is none.

    Checkpoint. If cancelled, or left with an error, what was at `path` is as it was, and nothing else is there.
    """
    folder, name = os.path.split(os.fsdecode(path))
    with _named(path):
        here = await trio.to_thread.run_sync(_enter, folder, name)
    try:
        part = f".{secrets.token_hex(4)}.part"
        if here is None:
            part, name = os.path.join(folder, part), os.path.join(folder, name)  # noqa: PTH118 - texts, of any bytes
        with _named(path):
            file = await trio.open_file(part, "xb", opener=partial(os.open, mode=0o600, dir_fd=here))
        done = False
        try:
            async with file:
                yield file.write
                await file.flush()
                # Before it is renamed: else a crash may leave the new name on an empty file.
                await trio.to_thread.run_sync(os.fsync, file.fileno())
            with _named(path):
                await trio.to_thread.run_sync(partial(os.replace, part, name, src_dir_fd=here, dst_dir_fd=here))
            done = True
        finally:
            if not done:
                with suppress(FileNotFoundError):
                    os.unlink(part, dir_fd=here)
    finally:
        if here is not None:
            os.close(here)


@contextmanager
def _named(path: FilePath) -> Iterator[None]:
    """Let an error of the system's name the file that was asked for, and not what stands there meanwhile."""
    try:
        yield
    except OSError as error:
        error.filename, error.filename2 = path, None
        raise


def _enter(folder: str, name: str) -> int | None:
    """Open a folder, in which a file of that name may be, and see whether that is so before anything is written."""
    if not name:
        code = errno.EISDIR if folder else errno.ENOENT
        raise OSError(code, os.strerror(code), folder)
    here = os.open(folder or os.curdir, os.O_RDONLY | _FOLDER) if _FROM_A_FOLDER else None
    try:
        _refuse_a_folder(name if here is not None else os.path.join(folder, name), here)  # noqa: PTH118 - as above
    except BaseException:
        if here is not None:
            os.close(here)
        raise
    return here


def _refuse_a_folder(place: str, here: int | None) -> None:
    with suppress(FileNotFoundError):
        if stat.S_ISDIR(os.stat(place, dir_fd=here, follow_symlinks=False).st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), place)

"""What was set aside is brought into a sink again, once what was wrong is mended."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import trio

from scrapeengine.model.sink import CLOSING, Position, Sink, cut_off
from scrapeengine.model.urls import told
from scrapeengine.sinks.aside import Aside, aside_of
from scrapeengine.sinks.endings import put_in_place, sync_folder
from scrapeengine.sinks.lines import locked, whole_lines
from scrapeengine.standstill import in_thread

__all__ = ["bring_in"]


@attrs.frozen(eq=False)
class NoRun:
    """The run of a sink where there is none, and no store. Implements `model.sink.SinkRun`."""

    now: Callable[[], float]
    keeps: bool = False

    async def positions(self) -> Mapping[str, str]:
        """See `SinkRun`. No checkpoint."""
        return {}

    async def move(self, position: Position) -> None:
        """See `SinkRun`. No checkpoint."""


@attrs.frozen(eq=False)
class Brought:
    """What is in the file, and what of it a sink has. Implements `model.sink.Acknowledge` for a batch of it."""

    rest: dict[bytes, None]
    """The lines of which it has none yet."""
    batch: list[bytes]
    """Those that it is given."""

    async def __call__(self, position: Position | None = None) -> bool:
        """See `Acknowledge`. No checkpoint."""
        del position  # nobody keeps it
        for line in self.batch:
            self.rest.pop(line, None)
        return True


async def bring_in(path: str, sink: Sink[Any], now: Callable[[], float], name: str | None = None) -> int:
    """Write what was set aside in a file into a sink, and take out of the file what the sink has.

    Whoever sets something aside there meanwhile waits. Checkpoint. If it fails or is cancelled, the sink has what was
    flushed before, and the file the rest. If it is killed, the sink may have a batch that the file still has.

    Args:
        path: the file.
        sink: where it is to go.
        now: returns the Unix time.
        name: what the sink of this name has refused only; None: all, which is to be of one sink.

    Returns:
        The number of outcomes that the sink has now.

    Raises:
        OSError: the file cannot be read, or written.
        ValueError: it is no such file, or outcomes of several sinks are in it.
        TimeoutError: the sink was cut off while it closed.
        Exception: what the sink raises.
    """
    path = await in_thread(partial(os.path.realpath, path))  # what a link is for is replaced, and not the link
    file = await in_thread(locked, path)
    try:
        asides: list[tuple[bytes, Aside]] = await in_thread(_read, file, path)
        names = sorted({aside.sink for _, aside in asides})
        if name is None and len(names) > 1:
            raise ValueError(f"{told(path)} has outcomes of several sinks, {', '.join(names)}: say which one is meant")
        meant = [each for each in asides if name in {None, each[1].sink}]
        rest = dict.fromkeys(line for line, _ in asides)
        try:
            await _bring(meant, rest, sink, now)
        finally:
            # Whatever has ended it, and however the sink is closed: what that has is not to be brought in once more.
            if len(rest) < len(asides):
                with trio.CancelScope(shield=True):
                    await in_thread(_keep, path, b"".join(rest))
    finally:
        os.close(file)
    return len(asides) - len(rest)


async def _bring(
    meant: list[tuple[bytes, Aside]], rest: dict[bytes, None], sink: Sink[Any], now: Callable[[], float]
) -> None:
    """Have a sink take outcomes, in batches, and take out of the rest what it has. Checkpoint."""
    try:
        await sink.open(NoRun(now))
        size = sink.policy.size
        for first in range(0, len(meant), size):
            batch = meant[first : first + size]
            brought = Brought(rest, [line for line, _ in batch])
            await sink.write([aside.outcome for _, aside in batch])
            await sink.flush(brought)
            await brought()  # where it has not said so itself
    finally:
        with trio.move_on_after(CLOSING, shield=True) as scope:
            await sink.close()
    if scope.cancelled_caught:
        raise cut_off(sink.name)


def _read(file: int, path: str) -> list[tuple[bytes, Aside]]:
    data = os.pread(file, whole_lines(file), 0)
    lines = data.split(b"\n")[:-1]
    found = [(line + b"\n", aside_of(line, f"line {number} of {told(path)}")) for number, line in enumerate(lines, 1)]
    # A crash may have set one aside twice.
    return list({(aside.sink, aside.key): (line, aside) for line, aside in found}.values())


def _keep(path: str, rest: bytes) -> None:
    """Have the file hold the rest only; without one it goes."""
    if not rest:
        Path(path).unlink()
        sync_folder(Path(path).parent)
        return
    part = f"{path}.part"
    file = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(file, "wb", closefd=False) as out:
            out.write(rest)
        os.fsync(file)
    finally:
        os.close(file)
    put_in_place(part, path)

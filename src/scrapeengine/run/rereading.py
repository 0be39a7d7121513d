"""Settings in a file that is read again whenever a signal says so."""

from __future__ import annotations

import os
import signal
from typing import Protocol

import trio

from scrapeengine.errors import UnknownPlatform
from scrapeengine.model.settings import Change, Settings
from scrapeengine.observe.log import logger

__all__ = ["Applies", "reread"]

_HANG_UP = getattr(signal, "SIGHUP", None)
"""Windows has none."""


class Applies(Protocol):
    """An engine, as far as its settings go."""

    def settings(self) -> Settings:
        """Return all knobs as they are now."""
        ...

    def apply(self, settings: Settings) -> tuple[Change, ...]:
        """Turn all knobs at once."""
        ...


async def reread(
    engine: Applies,
    path: str | os.PathLike[str],
    *,
    on: int | None = _HANG_UP,
    task_status: trio.TaskStatus[tuple[Change, ...]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Apply the settings in a TOML file now, and again at each SIGHUP: `await nursery.start(se.reread, engine, path)`.

    What the file says takes the place of the settings that the engine has as this begins. So a line that is taken out
    of it is as before, and what was tuned by other ways since then is undone. In the main thread only. Never returns.

    Args:
        engine: the engine.
        path: the file; `Settings.with_toml` says how it is read.
        on: the signal.
        task_status: told what the first reading has changed.

    Raises:
        OSError, ValueError, TypeError, UnknownPlatform: the file is of no use as this begins. Later that is a line in
            the log, and all stays as it was.
        RuntimeError: this is not the main thread, or the system has no such signal.

    Checkpoint. If cancelled, signals do what they did before, and what was applied stays.
    """
    if on is None:
        raise RuntimeError("this system has no SIGHUP; say which signal: reread(…, on=signal.SIGBREAK)")
    base = engine.settings()
    with trio.open_signal_receiver(on) as signals:
        task_status.started(engine.apply(await trio.to_thread.run_sync(base.with_toml, path)))
        async for _ in signals:
            try:
                changed = engine.apply(await trio.to_thread.run_sync(base.with_toml, path))
            except (OSError, ValueError, TypeError, UnknownPlatform) as error:
                logger().error("settings could not be read again, and all stays as it was", error=str(error))
            else:
                logger().info("settings were read again", changed=[str(each) for each in changed])

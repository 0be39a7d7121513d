"""The run, the engine and the store that a live page shows and steers, as far as each is there.

What is shown is bounded, whatever there is: so many platforms, so many failed jobs, so many letters of each text. Ids
are shown without the secrets of URLs; where the page is to act on one it has the id itself beside that.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any, Protocol, Unpack

import attrs
import trio

from scrapeengine.model.job import JobStatus, QueueStatistics, StoredJob
from scrapeengine.model.options import PlatformKnobs
from scrapeengine.model.policy import fastest
from scrapeengine.model.report import Report, Statistics
from scrapeengine.model.settings import PlatformSettings, Settings
from scrapeengine.model.store import Store
from scrapeengine.model.tables import plain
from scrapeengine.model.urls import named
from scrapeengine.observe.page import page

__all__ = ["LiveSubject", "Steered", "WatchedRun"]

_PLATFORMS = 200
"""The platforms of a store that are shown: those with most to do first."""
_FAILED = 50
"""The failed jobs that are shown, in the order of platforms and ids."""
_LETTERS = 400
"""The letters of a text that are shown."""
_SENTENCES = 50
_LOOK_AT_STORE = 2.0
"""Seconds between two looks at the store, which are reads beside its work."""
_SHARE = 0.05
"""The share of time that they may take."""


class WatchedRun(Protocol):
    """A run, as `Run` is one."""

    @property
    def report(self) -> Report:
        """What it has done so far."""
        ...

    def statistics(self) -> Statistics:
        """Say what it is doing."""
        ...

    def explain(self, platform: str | None = None) -> str:
        """Say what holds it back."""
        ...

    def stop_soon(self, grace: float = 10.0, *, reason: str = "the run was stopped") -> None:
        """Begin to stop."""
        ...


class Steered(Protocol):
    """An engine, as `Engine` is one."""

    def settings(self) -> Settings:
        """Return all knobs."""
        ...

    def tune(self, platform: str, **changes: Unpack[PlatformKnobs]) -> None:
        """Turn some."""
        ...

    def close(self, platform: str, seconds: float) -> None:
        """Close a platform."""
        ...

    def reopen(self, platform: str) -> None:
        """End its penalty."""
        ...


@attrs.define(eq=False, repr=False)
class LiveSubject:
    """What is shown. Implements `observe.live.feed.Scene`."""

    run: WatchedRun | None
    engine: Steered | None
    store: Store | None
    _queue: dict[str, Any] | None = attrs.field(default=None, init=False)
    """What the store has said last."""
    _look_at: float = attrs.field(default=-math.inf, init=False)
    """When it is asked again."""

    async def frame(self, *, whole: bool) -> dict[str, Any]:
        """Return all that is shown. Checkpoint. If cancelled, a thread may be left that ends by itself.

        Raises:
            StoreError: the store could not be asked.
        """
        found: dict[str, Any] = {
            "version": 1,
            "can": {"run": self.run is not None, "tune": self.engine is not None, "store": self.store is not None},
        }
        if self.run is not None:
            # With many platforms this takes a while, and may be done beside the loop.
            seen = partial(_seen, self.run, self.engine, whole=whole)
            found |= await trio.to_thread.run_sync(seen, abandon_on_cancel=True)
        if self.store is not None:
            found["queue"] = await self._look_at_store(self.store)
        return found

    def look_again(self) -> None:
        """Ask the store again for the next frame: something was done to it."""
        self._look_at = -math.inf

    async def _look_at_store(self, store: Store) -> dict[str, Any]:
        began = trio.current_time()
        if self._queue is None or began >= self._look_at:
            counted = await store.stats()
            failed = await store.jobs(status=JobStatus.FAILED, limit=_FAILED)
            self._queue = _queue(counted, failed)
            now = trio.current_time()
            self._look_at = now + max(_LOOK_AT_STORE, (now - began) / _SHARE)
        return self._queue

    def __repr__(self) -> str:
        """Name what is there."""
        return (
            f"<LiveSubject {', '.join(name for name in ('run', 'engine', 'store') if getattr(self, name) is not None)}>"
        )


def _seen(run: WatchedRun, engine: Steered | None, *, whole: bool) -> dict[str, Any]:
    """Return what a run shows. From any thread."""
    found = page(run.report, run.statistics(), timeline=whole)
    sentences = [_cut(line, 2 * _LETTERS) for line in run.explain().split("\n")]
    if len(sentences) > _SENTENCES:
        sentences[_SENTENCES:] = [f"and {len(sentences) - _SENTENCES:,} more platforms"]
    knobs = {} if engine is None else _knobs(engine.settings(), [each["key"] for each in found["platforms"]])
    return {"page": found, "explain": sentences, "knobs": knobs}


def _knobs(settings: Settings, names: list[str | None]) -> dict[str, Any]:
    """Return the knobs of the platforms that are shown, as far as they were declared or tuned."""
    return {name: _knob(settings.platforms[name]) for name in names if name is not None and name in settings.platforms}


def _knob(settings: PlatformSettings) -> dict[str, Any]:
    rate = fastest(settings.rate)
    return {"limit": settings.limit, "rate": None if rate is None else rate.count / rate.per}


def _queue(counted: Mapping[str, QueueStatistics], failed: list[StoredJob]) -> dict[str, Any]:
    """Return what a store shows."""
    names = sorted(counted, key=lambda name: (*_weight(counted[name]), name))
    rows = [{"name": _cut(named(name)), "key": name, **plain(counted[name])} for name in names[:_PLATFORMS]]
    totals = {status.value: sum(getattr(each, status.value) for each in counted.values()) for status in JobStatus}
    return {
        "platforms": rows,
        "more_platforms": max(0, len(names) - _PLATFORMS),
        "totals": totals,
        "failed": [_failure(job) for job in failed],
    }


def _weight(each: QueueStatistics) -> tuple[bool, int]:
    """Say how early a platform is shown: those that are shut first, then those with most to do."""
    return not (each.paused or each.closed), -(each.ready + each.delayed + each.leased + each.failed)


def _failure(job: StoredJob) -> dict[str, Any]:
    return {
        "platform": _cut(named(job.platform)),
        "id": _cut(named(job.id)),
        "key": list(job.key),
        "attempts": job.attempts,
        "finished": job.finished,
        "error": _cut(job.error or ""),
    }


def _cut(text: str, most: int = _LETTERS) -> str:
    return text if len(text) <= most else f"{text[:most]}…"

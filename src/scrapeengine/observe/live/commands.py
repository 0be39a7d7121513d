"""What the live page can do: one command a request, its fields checked before anything is done.

Each command is a method of `Commands`, whose keyword arguments are the fields that it takes.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from scrapeengine.decide.records import payload_of
from scrapeengine.model.checks import number, whole
from scrapeengine.model.event import Event
from scrapeengine.model.job import JobStatus, NewJob
from scrapeengine.model.options import PlatformKnobs
from scrapeengine.model.platform import check_platform_name
from scrapeengine.model.policy import Rate, fastest
from scrapeengine.model.settings import PlatformSettings
from scrapeengine.model.store import Store
from scrapeengine.model.urls import named, told
from scrapeengine.observe.live.subject import LiveSubject, Steered

__all__ = ["Commands"]

_PAGE = 1000
_GRACE = 10.0
_KEPT = object()


class Commands:
    """Does what the page says. All raise `ValueError` or `TypeError`, which say what to do instead."""

    def __init__(self, subject: LiveSubject) -> None:
        self._subject = subject
        self._limits: dict[str, int] = {}
        """The limits that platforms had before they were paused here, or when the page was opened."""
        if subject.engine is not None:
            self._limits = {name: each.limit for name, each in subject.engine.settings().platforms.items()}

    async def do(self, body: bytes) -> str:
        """Do what a request says; return in words what was done. Checkpoint, or none.

        Raises:
            TypeError: a field is missing, or of the wrong type.
            ValueError: there is no such command, or it cannot be done.
            ScrapeError: the engine has no such platform; the store could not be asked.
        """
        try:
            given = json.loads(body)
        except (ValueError, RecursionError):
            raise ValueError("that is no JSON") from None
        if not isinstance(given, dict) or not isinstance(given.get("do"), str):
            raise TypeError('a command is an object like {"do": "pause", "platform": "shop"}')
        name = given.pop("do")
        known: dict[str, tuple[Callable[..., Awaitable[str]], set[str]]] = {
            "pause": (self._pause, {"platform"}),
            "resume": (self._resume, {"platform", "limit"}),
            "tune": (self._tune, {"platform", "limit", "rate"}),
            "close": (self._close, {"platform", "seconds"}),
            "reopen": (self._reopen, {"platform"}),
            "stop": (self._stop, {"grace"}),
            "store_pause": (self._store_pause, {"platform"}),
            "store_resume": (self._store_resume, {"platform"}),
            "retry": (self._retry, {"platform", "id"}),
            "forget": (self._forget, {"platform", "id"}),
            "enqueue": (self._enqueue, {"platform", "id", "url", "data", "priority"}),
        }
        if name not in known:
            raise ValueError(f"there is no command {told(name)}; there are {', '.join(known)}")
        command, fields = known[name]
        unknown = given.keys() - fields
        if unknown:
            raise ValueError(f"{name} takes {', '.join(sorted(fields))}, not {told(min(unknown))}")
        if "platform" in fields:
            check_platform_name(given.get("platform"))
        try:
            return await command(**given)
        finally:
            self._subject.look_again()  # behind it: a frame may have looked meanwhile

    # -- what needs an engine

    async def _pause(self, platform: str) -> str:
        engine = self._engine()
        now = _limit(engine, platform)
        if now:
            self._limits[platform] = now
        engine.tune(platform, limit=0)
        return f"{named(platform)} is paused"

    async def _resume(self, platform: str, limit: object = None) -> str:
        engine = self._engine()
        if limit is None:
            limit = self._limits.get(platform) or _limit(engine, platform)
            if not limit:
                raise ValueError("nobody knows which limit it had; give one")
        engine.tune(platform, limit=whole(limit, "limit", least=1, instead="; to pause a platform say pause"))
        return f"{named(platform)} goes on"

    async def _tune(self, platform: str, limit: object = _KEPT, rate: object = _KEPT) -> str:
        changes = PlatformKnobs()
        if limit is not _KEPT:
            changes["limit"] = whole(limit, "limit", least=0)
        if rate is not _KEPT:
            each = _knobs(self._engine(), platform)
            before = () if each is None else each.rate
            first = fastest(before)
            burst = 1 if first is None else first.burst
            # Of several the fastest is tuned: the others are contracts, of an hour or a day.
            others = [other for other in before if other is not first]
            fast = [] if rate is None else [Rate(number(rate, "rate"), burst=burst)]
            changes["rate"] = [*fast, *others] or None
        if not changes:
            raise ValueError("tune what? give a limit, or a rate in requests a second")
        self._engine().tune(platform, **changes)
        return f"{named(platform)} is tuned"

    # -- what an engine does, or else a store

    async def _close(self, platform: str, seconds: object = None) -> str:
        span = number(seconds, "seconds")
        if self._subject.engine is not None:
            self._subject.engine.close(platform, span)
        else:
            await self._store().close(platform, span)
        return f"{named(platform)} is closed for {span:g} s at least"

    async def _reopen(self, platform: str) -> str:
        if self._subject.engine is not None:
            self._subject.engine.reopen(platform)
        else:
            await self._store().reopen(platform)
        return f"{named(platform)} is open again"

    # -- what needs a run

    async def _stop(self, grace: object = _GRACE) -> str:
        if self._subject.run is None:
            raise ValueError("this page shows a store: stop those who serve it")
        span = number(grace, "grace", zero=True)
        self._subject.run.stop_soon(span, reason="it was stopped on the live page")
        return f"the run stops; what runs has {span:g} s"

    # -- what needs a store

    async def _store_pause(self, platform: str) -> str:
        await self._store().pause(platform)
        return f"{named(platform)} is paused in the store, for all engines there"

    async def _store_resume(self, platform: str) -> str:
        await self._store().resume(platform)
        return f"{named(platform)} goes on, as far as the store is concerned"

    async def _retry(self, platform: str, id: str | None = None) -> str:
        done = await self._store().retry(platform=platform, ids=None if id is None else [_id(id)])
        return f"{done:,} jobs run again"

    async def _forget(self, platform: str, id: str | None = None) -> str:
        store, done = self._store(), 0
        if id is not None:
            done = await store.forget(platform=platform, ids=[_id(id)])
        else:  # those that have failed, and not all that have ended
            after: tuple[str, str] | None = None
            while page := await store.jobs(platform=platform, status=JobStatus.FAILED, after=after, limit=_PAGE):
                done += await store.forget(platform=platform, ids=[job.id for job in page])
                after = page[-1].key
        return f"{done:,} jobs are forgotten"

    async def _enqueue(
        self, platform: str, id: str | None = None, url: str | None = None, data: Any = None, priority: object = 0
    ) -> str:
        urgency = whole(priority, "priority", least=-(2**31))
        text = None if id is None else _id(id)
        event = Event(text, url=url, data=data, platforms=[platform], priority=urgency)
        job = NewJob(platform, event.id, payload_of(event), urgency)
        (known,) = await self._store().enqueue([job])
        return (
            f"{named(event.id)} is enqueued" if known.new else f"{named(event.id)} is known: {known.job.status.value}"
        )

    def _engine(self) -> Steered:
        if self._subject.engine is None:
            raise ValueError("this page has no engine to tune; write Dashboard(run, engine), or pause it in the store")
        return self._subject.engine

    def _store(self) -> Store:
        if self._subject.store is None:
            raise ValueError("this page has no store; write Dashboard(run, engine, store)")
        return self._subject.store


def _id(id: object) -> str:
    if not isinstance(id, str):
        raise TypeError(f"id must be a text, got {type(id).__name__}")
    return id


def _knobs(engine: Steered, platform: str) -> PlatformSettings | None:
    """Return the knobs of a platform, or of the default that serves such a host; None: nobody does."""
    platforms = engine.settings().platforms
    return platforms.get(platform) or platforms.get("*")


def _limit(engine: Steered, platform: str) -> int:
    each = _knobs(engine, platform)
    return 0 if each is None else each.limit

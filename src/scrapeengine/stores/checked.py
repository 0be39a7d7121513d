"""The outer seam of a store: arguments are checked here, before any backend sees them.

So a backend may take all that it is given for what the types say, and all of them refuse the same. Each refusal says
what to write instead.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import trio

from scrapeengine.model.checks import flag, id_of, number, whole
from scrapeengine.model.event import Event
from scrapeengine.model.job import (
    Claimed,
    Completion,
    Delivery,
    JobStatus,
    Kept,
    Known,
    NewJob,
    QueueStatistics,
    Reply,
    ShareGrant,
    ShareRequest,
    StoredJob,
    Ticket,
)
from scrapeengine.model.platform import check_platform_name
from scrapeengine.model.sink import Position
from scrapeengine.model.store import Starts, Store
from scrapeengine.model.urls import told
from scrapeengine.model.validators import Validator
from scrapeengine.stores.staged import cut

__all__ = ["CheckedStore"]

_LONGEST_PAGE = 1000
_TOO_LARGE = 2**63
"""The first number that a database has no room for."""
_PARTS_OF_A_KEY = _BOUNDS = 2
_ENDS = (JobStatus.DONE, JobStatus.SKIPPED, JobStatus.FAILED)


class CheckedStore:
    """A `Store` that checks its arguments, and hands them over to another one that need not.

    What is wrong with them is raised at once, as a `TypeError` or `ValueError`, and nothing is called then. Collections
    are handed over as tuples.

    Size: the members of the protocol.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def __repr__(self) -> str:
        """Show the store itself."""
        return repr(self._store)

    @property
    def shared(self) -> bool:
        """See `Store`."""
        return self._store.shared

    @property
    def closings(self) -> int:
        """See `Store`."""
        return self._store.closings

    @property
    def starts(self) -> Starts | None:
        """See `Store`."""
        return self._store.starts

    def now(self) -> float:
        """See `Store`."""
        return self._store.now()

    # -- what programs ask for

    async def enqueue(self, jobs: Sequence[NewJob], *, replace: bool = False) -> list[Known]:
        """See `Store`."""
        flag(replace, "replace")
        found: tuple[NewJob, ...] = _many(jobs, "jobs", NewJob)
        for first, part in cut(found):
            if first:
                await trio.lowlevel.checkpoint()
            _look_at(part)
        return await self._store.enqueue(found, replace=replace)

    async def get(self, platform: str, id: str | int) -> StoredJob | None:
        """See `Store`; an int is taken as its digits."""
        return await self._store.get(_name(platform), _id(id, "id"))

    async def cancel(self, platform: str, id: str | int) -> bool:
        """See `Store`; an int is taken as its digits."""
        return await self._store.cancel(_name(platform), _id(id, "id"))

    async def position(self, platform: str, id: str | int) -> int | None:
        """See `Store`; an int is taken as its digits."""
        return await self._store.position(_name(platform), _id(id, "id"))

    async def stats(self) -> dict[str, QueueStatistics]:
        """See `Store`."""
        return await self._store.stats()

    async def jobs(
        self,
        *,
        platform: str | None = None,
        status: JobStatus | Collection[JobStatus] | None = None,
        after: tuple[str, str] | None = None,
        limit: int = 100,
    ) -> list[StoredJob]:
        """See `Store`."""
        if platform is not None:
            _name(platform)
        whole(limit, "limit", least=1)
        if limit > _LONGEST_PAGE:
            raise ValueError(f"limit must be at most {_LONGEST_PAGE:,}, got {limit:,}; go on with after=page[-1].key")
        statuses = _statuses(status)
        return await self._store.jobs(platform=platform, status=statuses, after=_key_or_none(after), limit=limit)

    async def retry(
        self,
        *,
        platform: str | None = None,
        ids: Collection[str | int] | None = None,
        events: Collection[Event] | None = None,
    ) -> int:
        """See `Store`; an int is taken as its digits."""
        return await self._store.retry(**_selected("retry", platform, ids, events))

    async def forget(
        self,
        *,
        platform: str | None = None,
        ids: Collection[str | int] | None = None,
        events: Collection[Event] | None = None,
    ) -> int:
        """See `Store`; an int is taken as its digits."""
        return await self._store.forget(**_selected("forget", platform, ids, events))

    async def close(self, platform: str, seconds: float) -> None:
        """See `Store`."""
        _seconds(seconds, "seconds")
        await self._store.close(_name(platform), seconds)

    async def reopen(self, platform: str) -> None:
        """See `Store`."""
        await self._store.reopen(_name(platform))

    async def pause(self, platform: str) -> None:
        """See `Store`."""
        await self._store.pause(_name(platform))

    async def resume(self, platform: str) -> None:
        """See `Store`."""
        await self._store.resume(_name(platform))

    # -- what an engine asks for

    async def due(self, until: float | None = None) -> list[str]:
        """See `Store`."""
        if until is not None:
            number(until, "until", zero=True, endless=True)
        return await self._store.due(until)

    async def claim(
        self, platform: str, n: int, owner: str, lease: float, *, ids: Collection[str] | None = None
    ) -> list[Claimed]:
        """See `Store`."""
        _words(platform=platform, owner=owner)
        _count(n, "n", least=0)
        _seconds(lease, "lease")
        return await self._store.claim(platform, n, owner, lease, ids=_ids_or_all(ids))

    async def renew(self, tickets: Sequence[Ticket], lease: float) -> list[Reply]:
        """See `Store`."""
        _seconds(lease, "lease")
        return await self._store.renew(_leases(tickets, "tickets", Ticket), lease)

    async def complete(self, completions: Sequence[Completion]) -> list[Reply]:
        """See `Store`."""
        return await self._store.complete(_completions(completions))

    async def release(self, tickets: Sequence[Ticket], delay: float = 0.0, *, died: bool = False) -> list[Reply]:
        """See `Store`."""
        _seconds(delay, "delay", zero=True)
        flag(died, "died")
        return await self._store.release(_leases(tickets, "tickets", Ticket), delay, died=died)

    async def undelivered(self, sink: str, n: int, lease: float) -> list[Kept]:
        """See `Store`."""
        _words(sink=sink)
        _count(n, "n", least=0)
        _seconds(lease, "lease")
        return await self._store.undelivered(sink, n, lease)

    async def defer(self, sink: str, deliveries: Sequence[Delivery], seconds: float) -> None:
        """See `Store`."""
        _words(sink=sink)
        _seconds(seconds, "seconds", zero=True)
        await self._store.defer(sink, _leases(deliveries, "deliveries", Delivery), seconds)

    async def acknowledge(self, sink: str, deliveries: Sequence[Delivery], position: Position | None = None) -> Reply:
        """See `Store`."""
        _words(sink=sink)
        if position is not None:
            if not isinstance(position, Position):
                raise TypeError(
                    f"position must be a Position, got {told(position)}; write Position('out.jsonl', '1024')"
                )
            _words(**{"Position(slot=…)": position.slot, "Position(value=…)": position.value})
        return await self._store.acknowledge(sink, _leases(deliveries, "deliveries", Delivery), position)

    async def positions(self, sink: str) -> dict[str, str]:
        """See `Store`."""
        _words(sink=sink)
        return await self._store.positions(sink)

    async def recall(self, platform: str, url: str) -> Validator | None:
        """See `Store`."""
        _words(platform=platform, url=url)
        return await self._store.recall(platform, url)

    async def hasten(self, ids: Collection[str] | None = None) -> int:
        """See `Store`."""
        return await self._store.hasten(_ids_or_all(ids))

    async def lock(self, name: str, owner: str, lease: float) -> bool:
        """See `Store`."""
        _words(name=name, owner=owner)
        _seconds(lease, "lease")
        return await self._store.lock(name, owner, lease)

    async def unlock(self, name: str, owner: str) -> None:
        """See `Store`."""
        _words(name=name, owner=owner)
        await self._store.unlock(name, owner)

    async def share(
        self, owner: str, share_requests: Mapping[str, ShareRequest], lease: float
    ) -> dict[str, ShareGrant]:
        """See `Store`."""
        _words(owner=owner)
        _seconds(lease, "lease")
        return await self._store.share(owner, _share_requests(share_requests), lease)

    async def wait(self, at_most: float) -> None:
        """See `Store`."""
        _seconds(at_most, "at_most", zero=True, endless=True)
        await self._store.wait(at_most)


def _seconds(value: object, name: str, *, zero: bool = False, endless: bool = False) -> None:
    if type(value) is float and (0.0 < value < _TOO_LARGE or (zero and not value)):
        return  # nearly all are, and each call of a store has some
    exact = number(value, name, zero=zero, endless=endless, instead="; it is seconds")
    if _TOO_LARGE <= exact < math.inf:
        raise ValueError(f"{name} must be less than 2**63, got {value}; it is seconds")


def _span(bounds: object, name: str) -> None:
    if not isinstance(bounds, tuple) or len(bounds) != _BOUNDS:
        raise TypeError(f"{name} must be two numbers of seconds, got {bounds!r}")
    for bound in bounds:
        _seconds(bound, name, zero=True)


def _count(value: object, name: str, *, least: int) -> None:
    if whole(value, name, least=least) >= _TOO_LARGE:
        raise ValueError(f"{name} must be less than 2**63, got {value}")


def _name(platform: str) -> str:
    """Look at a platform's name, as programs give it."""
    check_platform_name(platform)
    _words(platform=platform)
    return platform


def _id(value: object, name: str) -> str:
    """Look at an id, as programs give it."""
    text = id_of(value, name)
    _words(**{name: text})
    return text


def _plain(*values: object) -> bool:
    """Say whether all are None or texts that anybody takes: then no names for them are made."""
    for value in values:  # noqa: SIM110 - a generator takes as long as all else here
        if value is not None and not (type(value) is str and value.isascii()):
            return False
    return True


def _words(**values: object) -> None:
    """Refuse what is no text, or cannot be written down."""
    for name, value in values.items():
        if not isinstance(value, str):
            raise TypeError(f"{name} must be a str, got {type(value).__name__}; write JSON as text")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError(f"{name} has half a surrogate pair in it, which is no character; leave it out") from None


def _many(values: Any, what: str, kind: type) -> tuple[Any, ...]:
    """Make a tuple of what should all be of one kind."""
    plain = type(values) is tuple or type(values) is list  # as ours are; abstract classes take long to be asked
    if not plain and (isinstance(values, str | bytes | Mapping) or not isinstance(values, Collection)):
        raise TypeError(f"{what} must be a list, got {type(values).__name__}; write […] around a single one")
    found = tuple(values)
    for value in found:
        if not isinstance(value, kind):
            raise TypeError(f"each of {what} must be a {kind.__name__}, got {told(value)}")
    return found


def _look_at(jobs: Sequence[NewJob]) -> None:
    """Look at jobs to enqueue."""
    for job in jobs:
        _words(**{"NewJob(platform=…)": job.platform, "NewJob(id=…)": job.id, "NewJob(payload=…)": job.payload})
        _words_or_none({"NewJob(cadence=…)": job.cadence})
        _seconds(job.delay, "NewJob(delay=…)", zero=True)
        if job.interval is not None:
            _seconds(job.interval, "NewJob(interval=…)", zero=True)
        _count(job.priority, "NewJob(priority=…)", least=-_TOO_LARGE)


def _completions(values: Sequence[Completion]) -> tuple[Completion, ...]:
    """Look at completions."""
    found: tuple[Completion, ...] = _many(values, "completions", Completion)
    for completion in found:
        _completion(completion)
    return found


def _leases(values: Any, what: str, kind: type) -> tuple[Any, ...]:
    """Look at tickets or deliveries."""
    found = _many(values, what, kind)
    for value in found:
        _lease(value)
    return found


def _lease(value: Ticket | Delivery) -> None:
    platform, known_as, token = value
    if type(token) is int and -_TOO_LARGE <= token < _TOO_LARGE and _plain(platform, known_as) and None not in value:
        return
    kind = type(value).__name__
    _words(**{f"{kind}(platform=…)": value.platform, f"{kind}(id=…)": value.id})
    _count(value.token, f"{kind}(token=…)", least=-_TOO_LARGE)


def _ids_or_all(ids: Collection[str | int] | None) -> tuple[str, ...] | None:
    """Look at ids; None is all of them."""
    return None if ids is None else tuple(_id(each, "each of ids") for each in _many(ids, "ids", object))


def _statuses(status: object) -> tuple[JobStatus, ...] | None:
    """Look at a status, or several; None is all."""
    if status is None or isinstance(status, JobStatus):
        return None if status is None else (status,)
    if isinstance(status, str) or not isinstance(status, Collection):
        raise TypeError(f"status must be a JobStatus, or a list of them, got {told(status)}; write JobStatus.FAILED")
    found: tuple[JobStatus, ...] = _many(status, "status", JobStatus)
    return found


def _key_or_none(after: Any) -> tuple[str, str] | None:
    if after is None:
        return None
    if not isinstance(after, tuple) or len(after) != _PARTS_OF_A_KEY:
        raise TypeError(f"after must be a platform and an id, got {told(after)}; write after=page[-1].key")
    _words(**{"the platform in after": after[0], "the id in after": after[1]})
    return after


def _selected(
    name: str, platform: str | None, ids: Collection[str | int] | None, events: Collection[Event] | None
) -> dict[str, Any]:
    """Look at what says which jobs are meant."""
    if platform is not None:
        _name(platform)
    if ids is not None and events is not None:
        raise TypeError(f"{name} takes ids or events, got both; call it twice")
    meant = None if events is None else _many(events, "events", Event)
    for event in meant or ():
        _words(**{"the id of an event": event.id})
        for name_of_platform in event.platforms:
            _words(**{"a platform of an event": name_of_platform})
    return {"platform": platform, "ids": _ids_or_all(ids), "events": meant}


def _share_requests(share_requests: Mapping[str, ShareRequest]) -> dict[str, ShareRequest]:
    """Look at what an engine asks for of each platform."""
    if not isinstance(share_requests, Mapping):
        raise TypeError(
            f"share_requests must be a dict of ShareRequest by platform, got {type(share_requests).__name__}"
        )
    for platform, share_request in share_requests.items():
        _words(**{"a platform in share_requests": platform})
        if not isinstance(share_request, ShareRequest):
            raise TypeError(f"share_requests[{platform!r}] must be a ShareRequest, got {share_request!r}")
        for name in ("limit", "wanted", "held", "requests"):
            _count(getattr(share_request, name), f"ShareRequest({name}=…)", least=0)
    return dict(share_requests)


def _sinks(names: Sequence[str]) -> None:
    """Look at names of sinks."""
    found: tuple[str, ...] = _many(names, "Completion(sinks=…)", str)
    if not _plain(*found):
        _words(**{f"Completion(sinks=…)[{place}]": name for place, name in enumerate(found)})


def _completion(completion: Completion) -> None:
    if not isinstance(completion.ticket, Ticket):
        raise TypeError(f"Completion(ticket=…) must be the Ticket of a claim, got {told(completion.ticket)}")
    _lease(completion.ticket)
    if completion.status not in _ENDS:
        raise ValueError(f"Completion(status=…) must be DONE, SKIPPED or FAILED, got {completion.status!r}")
    if isinstance(completion.result, str):
        _words(**{"Completion(result=…)": completion.result})
    elif completion.result is not None and not isinstance(completion.result, bytes):
        raise TypeError(
            f"Completion(result=…) must be JSON as a str, bytes or None, got {type(completion.result).__name__}; "
            f"write json.dumps(…)"
        )
    if not _plain(completion.error, completion.history, completion.outcome):
        _words_or_none(
            {
                "Completion(error=…)": completion.error,
                "Completion(history=…)": completion.history,
                "Completion(outcome=…)": completion.outcome,
            }
        )
    _sinks(completion.sinks)
    if completion.again is not None:
        _seconds(completion.again, "Completion(again=…)", zero=True)
    _seconds(completion.keep, "Completion(keep=…)", zero=True)
    _seconds(completion.deliver, "Completion(deliver=…)", zero=True)
    if completion.between is not None:
        _span(completion.between, "Completion(between=…)")
    _look_at(_many(completion.follow_ups, "follow_ups", NewJob))
    for url, validator in completion.validators.items():
        _words(**{"a URL in Completion(validators=…)": url})
        if validator is not None and not isinstance(validator, Validator):
            raise TypeError(f"Completion(validators=…) takes Validators by URL, got {validator!r}")


def _words_or_none(values: Mapping[str, object]) -> None:
    _words(**{name: value for name, value in values.items() if value is not None})

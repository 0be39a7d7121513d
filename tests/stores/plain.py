"""A store from outside: all calls its own, on no tables and with no rules, registered under a scheme of its own.

It answers by the model that the kit has for an oracle, which so has to pass all behaviours itself. Its calls go over a
channel to a task that serves them, as they would to a database.
"""

import itertools
import math
from contextlib import asynccontextmanager
from functools import partial

import attrs
import trio

from scrapeengine.errors import StoreClosed, StoreFull
from scrapeengine.stores import StorePolicy, register
from scrapeengine.stores.moment import Moment
from scrapeengine.testing.stores.model import StoreModel

__all__ = ["PlainPolicy", "PlainStore", "open_plain"]

UNIX = 1.7e9
"""Unix time, when trio's is 0."""


@attrs.frozen(kw_only=True)
class PlainPolicy(StorePolicy):
    """An option more than all stores have."""

    label: str = "plain"
    """How it is shown."""


@attrs.define(eq=False, repr=False)
class PlainStore:
    """All calls of `Store`, which check no arguments."""

    policy: PlainPolicy
    model: StoreModel
    calls: trio.MemorySendChannel
    shared = False
    starts = None
    closings: int = attrs.field(default=0, init=False)
    _changed: trio.Event = attrs.field(factory=trio.Event, init=False)
    _fresh: bool = attrs.field(default=False, init=False)
    _tokens: itertools.count = attrs.field(factory=lambda: itertools.count(10, 7), init=False)

    def __repr__(self):
        """Show its label."""
        return f"<Store {self.policy.label}>"

    def __getattr__(self, name):
        """Most calls are the model's."""
        return partial(self.call, name)

    def now(self):
        """See `Store`."""
        return trio.current_time() + UNIX

    async def call(self, name, *args, **values):
        """Have the model asked; once that was begun it is not cancelled."""
        self.closings += name in {"close", "reopen", "pause", "resume"}
        answers = []
        done = trio.Event()
        try:
            await self.calls.send((name, args, values, answers, done))
        except (trio.ClosedResourceError, trio.BrokenResourceError):
            raise StoreClosed("this store has been left: call it within its `async with`") from None
        with trio.CancelScope(shield=True):
            await done.wait()
        if isinstance(answers[0], Exception):
            raise answers[0]
        return answers[0]

    def answer(self, name, args, values):
        """Answer a call. Not async: what is done here is done whole."""
        self.model.moment = Moment(0, 0.0, 0.0, UNIX, trio.current_time())
        if name == "claim":
            answer = self.take(*args)
        elif name == "undelivered":
            n, lease = args
            answer = [self.model.postpone(each, lease) for each in self.model.late()[:n]]
        elif name == "next_time":
            jobs = self.model.rows.values()
            answer = min((job.due for job in jobs if job.status.value in {"delayed", "leased"}), default=math.inf)
        else:
            answer = getattr(self.model, name)(*args, **values)
        if name == "due":
            self._fresh = False
        elif name in {"enqueue", "release", "hasten", "complete", "cancel", "retry", "reopen", "pause", "resume"}:
            self._fresh = self._fresh or any(job.status.value == "ready" for job in self.model.rows.values())
            self._changed.set()
            self._changed = trio.Event()
        return answer

    def take(self, platform, n, lease, ids):
        """Claim."""
        self._fresh = False
        return [self.model.claim(job, lease, next(self._tokens)) for job in self.model.claimable(platform, n, ids)]

    async def due(self, until=None):
        """See `Store`."""
        return await self.call("due", until)

    async def claim(self, platform, n, owner, lease, *, ids=None):
        """See `Store`. Whose a lease is nobody asks: its token says it."""
        assert owner
        return await self.call("claim", platform, n, lease, ids)

    async def release(self, tickets, delay=0.0, *, died=False):
        """See `Store`."""
        return await self.call("release", tickets, delay, died=died)

    async def hasten(self, ids=None):
        """See `Store`."""
        return await self.call("hasten", ids)

    async def enqueue(self, jobs, *, replace=False):
        """See `Store`."""
        while True:
            changed = self._changed
            try:
                return await self.call("enqueue", jobs, replace=replace)
            except StoreFull:
                many = len({(job.platform, job.id) for job in jobs}) > self.policy.max_pending
                if self.policy.full == "raise" or many:
                    raise
            await changed.wait()

    async def wait(self, at_most):
        """See `Store`."""
        until = trio.current_time() + at_most
        while True:
            changed = self._changed
            at = min(until, await self.call("next_time"))
            if self._fresh or trio.current_time() >= at:
                return
            with trio.move_on_at(at):
                await changed.wait()


@asynccontextmanager
async def plain(policy):
    """Open one, with the task that serves it."""
    send, receive = trio.open_memory_channel(0)
    store = PlainStore(policy, StoreModel(policy, Moment(0, 0.0, 0.0, UNIX, trio.current_time())), send)

    async def serve():
        async for name, args, values, answers, done in receive:
            try:
                answers.append(store.answer(name, args, values))
            except Exception as error:  # noqa: BLE001 - it is raised where it was called
                answers.append(error)
            done.set()

    trio.lowlevel.spawn_system_task(serve)  # ends when the channel is closed
    try:
        yield store
    finally:
        send.close()
        store._changed.set()


def open_plain(url, policy):
    """Open the store of "plain://user:password@anywhere", which is a new one each time."""
    if "://" not in url:
        raise ValueError("a plain store is 'plain://' and anything")
    return plain(policy)


register("plain", open_plain, PlainPolicy, example="plain://anywhere")

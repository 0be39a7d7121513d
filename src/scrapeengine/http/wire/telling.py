"""Tells instruments of one request: that its connection was made, that it is sent, and how it ended.

There is one of these for a request only where somebody listens.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx
import trio

from scrapeengine.http.transport.answer import AnswerSoFar
from scrapeengine.http.wire.call import Call
from scrapeengine.http.wire.client_task import ClientTask
from scrapeengine.model.instrument import ConnectionOpened, RequestBegun, RequestEnded
from scrapeengine.observe.following import RequestSent
from scrapeengine.observe.log import logger

__all__ = ["RequestTelling", "tell_connected"]

_OURS = frozenset({b"host", b"content-length", b"transfer-encoding", b"connection"})
"""The headers that say how a request goes out; they are not a hook's to add."""


class RequestTelling:
    """Tells of one request that is sent, up to the end of its answer. A request that is sent anew has a new one.

    Size: 10 attributes: what is told of a request at its end.
    """

    __slots__ = (
        "_attempt",
        "_begun",
        "_connects",
        "_meters",
        "_task",
        "_to",
        "call",
        "connect",
        "done_with_head",
        "head_at",
    )

    def __init__(self, task: ClientTask, to: str, call: Call, attempt: int, now: float, *, connects: bool) -> None:
        """Make it, and say that the request is sent now.

        Args:
            task: the task whose request it is.
            to: the platform that it goes to.
            call: the request.
            attempt: which attempt it is.
            now: when that is.
            connects: whether it is known of each connection that it is made.
        """
        self._task = task
        self._to = to
        self.call = call
        """The request as it goes out: with the headers that hooks have added."""
        self._attempt = attempt
        self._begun: float | None = now
        """When it was sent; None: it has ended."""
        self._connects = connects
        self.connect: float | None = None
        """The seconds that it took to make a connection for it; None: none was made."""
        self.head_at: float | None = None
        """When the head of its answer was there."""
        self.done_with_head = False
        """Whether all of its answer was there then, as of most: there is one look at the clock less."""
        hear = task.instruments
        self._meters = hear.meters
        """Who counts it: those who join while it is on its way have not heard of its sending."""
        for meter in self._meters:
            meter.request_sent(to)
        if hear.request_begun or task.followed:
            self._tell_begun(now)

    def _tell_begun(self, now: float) -> None:
        call, task, hear = self.call, self._task, self._task.instruments
        answers: list[object] = []
        if hear.request_begun:
            answers += hear.tell(hear.request_begun, RequestBegun(time=now, **self._where()))
        for each in task.followed:
            request = RequestSent(now, self._to, call.method, call.url, self._attempt)
            answers.append(hear.tell_follower(each, "request_begun", request))
        for headers in answers:
            call = _with(call, headers)
        self.call = call

    def ended(self, answer: AnswerSoFar, error: BaseException | None = None) -> None:
        """Say how it ended. Again: nothing happens."""
        begun, task = self._begun, self._task
        if begun is None:
            return
        self._begun, hear = None, task.instruments
        head_at, connect, size = self.head_at, self.connect, answer.size
        head = None if head_at is None else head_at - begun
        over_at = head_at if self.done_with_head and head_at is not None else hear.now()
        seconds = over_at - begun if connect is None else connect + over_at - begun
        decoded = size if answer.coding is None else answer.decoded
        kept = connect is None and self._connects
        for meter in self._meters:
            meter.request_over(self._to, answer.status, error, size, decoded, head, seconds, kept, answer.done)
        for each in task.followed:
            hear.tell_follower(each, "request_ended", answer.status, error, size, over_at)
        if hear.request_ended:
            details = RequestEnded(
                time=trio.current_time(),
                **self._where(),
                status=answer.status or None,
                error=error if isinstance(error, Exception) else None,
                cancelled=error is not None and not isinstance(error, Exception),
                kept=kept if self._connects else None,
                whole=answer.done,
                received=size,
                decoded=decoded,
                connect=connect or 0.0,
                head=head,
                seconds=seconds,
            )
            hear.tell(hear.request_ended, details)

    def _where(self) -> dict[str, Any]:
        return {
            "event": self._task.event,
            "platform": self._task.platform_name,
            "to": self._to,
            "method": self.call.method,
            "url": self.call.url,
            "attempt": self._attempt,
        }


def tell_connected(task: ClientTask, to: str, call: Call, seconds: float) -> None:
    """Say that a connection was made for a request.

    Args:
        task: the task whose request it is.
        to: the platform that it goes to.
        call: the request.
        seconds: how long it took.
    """
    hear = task.instruments
    if hear.connection_opened:
        details = ConnectionOpened(
            time=trio.current_time(),
            platform=to,
            host=call.origin.host,
            port=call.origin.port,
            seconds=seconds,
            event=task.event,
            by=task.platform_name,
        )
        hear.tell(hear.connection_opened, details)


def _with(call: Call, headers: object) -> Call:
    """Return a call with the headers that a hook has given; what cannot be sent is left out, and logged."""
    if headers is None:
        return call
    try:
        return call.also(_in_bytes(headers))
    except (TypeError, ValueError, httpx.LocalProtocolError) as error:
        logger().warning("the headers that an instrument has given cannot be sent", exc_info=error)
        return call


def _in_bytes(headers: object) -> dict[bytes, bytes]:
    if not isinstance(headers, Mapping):
        raise TypeError(f"a mapping of names to values is wanted, got {type(headers).__name__}")
    added = {str(name).lower().encode("ascii"): str(value).encode("ascii") for name, value in headers.items()}
    if not _OURS.isdisjoint(added):
        raise ValueError("Host, and what says how long a body is, are not for hooks to say")
    return added

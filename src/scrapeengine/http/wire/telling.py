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
from scrapeengine.http.wire.client_task import ClientTask, Destination
from scrapeengine.model.instrument import ConnectionOpened, RequestBegun, RequestEnded
from scrapeengine.observe.log import logger

__all__ = ["RequestTelling"]

_OURS = frozenset({b"host", b"content-length", b"transfer-encoding", b"connection"})
"""The headers that say how a request goes out; they are not a hook's to add."""


class RequestTelling:
    """Tells of one request, from its connection to the end of its answer. A request that is sent anew begins anew."""

    # As long as they are these, they are the class's: it is made for each request where somebody counts.
    _connect = 0.0
    _kept = True
    """Whether no connection was made for it."""
    _begun: float | None = None
    """When it was sent; None: it was not, or it has ended."""
    head_at: float | None = None
    """When the head of its answer was there."""
    done_with_head = False
    """Whether all of its answer was there then, as of most: there is one look at the clock less."""

    def __init__(self, task: ClientTask, to: Destination, call: Call, attempt: int, *, connects: bool) -> None:
        """Make it.

        Args:
            task: the task whose request it is.
            to: where it goes.
            call: the request.
            attempt: which attempt it is.
            connects: whether it is known of each connection that it is made.
        """
        self._task = task
        self._to = to.name
        self._call = call
        self._attempt = attempt
        self._connects = connects
        self._meters = task.instruments.meters
        """Who counts it: those who join while it is on its way have not heard of its sending."""

    def connected(self, seconds: float) -> None:
        """Say that a connection was made for it."""
        self._connect, self._kept = seconds, False
        hear = self._task.instruments
        if hear.connection_opened:
            origin, now = self._call.origin, trio.current_time()
            details = ConnectionOpened(
                time=now,
                platform=self._to,
                host=origin.host,
                port=origin.port,
                seconds=seconds,
                event=self._task.event,
                by=self._task.platform_name,
            )
            hear.tell(hear.connection_opened, details)

    def begun(self, now: float) -> Call:
        """Say that it is sent now, and return it as it goes out: with the headers that hooks have added."""
        self._begun, self.head_at = now, None
        hear = self._task.instruments
        self._meters = hear.meters
        for meter in self._meters:
            meter.request_sent(self._to)
        if not hear.request_begun:
            return self._call
        answers = hear.tell(hear.request_begun, RequestBegun(time=now, **self._where()))
        call = self._call
        for headers in answers:
            call = _with(call, headers)
        return call

    def ended(self, answer: AnswerSoFar, error: BaseException | None = None) -> None:
        """Say how it ended. Again: nothing happens."""
        begun, head_at = self._begun, self.head_at
        if begun is None:
            return
        self._begun = None
        head = None if head_at is None else head_at - begun
        over_at = head_at if self.done_with_head and head_at is not None else trio.current_time()
        seconds, decoded = self._connect + over_at - begun, answer.size if answer.coding is None else answer.decoded
        for meter in self._meters:
            meter.request_over(
                self._to,
                answer.status,
                error,
                (answer.size, decoded),
                (head, seconds),
                kept=self._kept and self._connects,
                whole=answer.done,
            )
        hear = self._task.instruments
        if hear.request_ended:
            details = RequestEnded(
                time=trio.current_time(),
                **self._where(),
                status=answer.status or None,
                error=error if isinstance(error, Exception) else None,
                cancelled=error is not None and not isinstance(error, Exception),
                kept=self._kept if self._connects else None,
                whole=answer.done,
                received=answer.size,
                decoded=decoded,
                connect=self._connect,
                head=head,
                seconds=seconds,
            )
            hear.tell(hear.request_ended, details)
        self._connect = 0.0  # what is sent anew has a connection of its own

    def _where(self) -> dict[str, Any]:
        return {
            "event": self._task.event,
            "platform": self._task.platform_name,
            "to": self._to,
            "method": self._call.method,
            "url": self._call.url,
            "attempt": self._attempt,
        }


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

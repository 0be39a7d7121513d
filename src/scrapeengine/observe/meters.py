"""Meters: who counts what happens with each task and each request, by plain calls.

An instrument hears of each thing by a details object, which says all that anybody might want to know. To make one for
each request, and to call a hook with it, costs as much as a fifth of the request. Who only counts needs a few numbers:
so the parts of a `Recording` are called with these, where they are there already, and hear by hooks of what is rare.

    task_began ── request_sent ── request_over          by `RequestMeter`
        │
    task_returned

Rejected: one meter for all, with a call that says what has happened. It would have to find out again what its caller
knew.
"""

from __future__ import annotations

from typing import Protocol

from scrapeengine.decide.binding import Coming
from scrapeengine.decide.holding import Holdup

__all__ = ["HoldupMeter", "RequestMeter"]


class RequestMeter(Protocol):
    """Counts tasks and requests. None of these may raise."""

    def task_began(self, platform: str, queued: float, /) -> None:
        """Count a task that starts, and for how long it has waited for that."""
        ...

    def task_returned(self, platform: str, parked: float, /) -> None:
        """Count a task that goes on, and for how long it was parked."""
        ...

    def request_sent(self, to: str, /) -> None:
        """Count a request that is sent, by the platform that it goes to."""
        ...

    def request_over(
        self,
        to: str,
        status: int,
        error: BaseException | None,
        received: int,
        decoded: int,
        head: float | None,
        seconds: float,
        kept: bool,  # noqa: FBT001 - by its place, as all of them: names cost as much as what is counted
        whole: bool,  # noqa: FBT001 - as above
        /,
    ) -> None:
        """Count a request that was sent and has ended.

        Args:
            to: the platform that it went to.
            status: its status; 0: no answer came.
            error: what has ended it; None: its answer was read as far as it was wanted.
            received: the bytes of its body, on the wire.
            decoded: the same once they were decoded.
            head: seconds to the head of its answer; None: it did not come.
            seconds: seconds in all.
            kept: whether it went by a connection that was kept.
            whole: whether the whole body came.
        """
        ...


class HoldupMeter(Protocol):
    """Keeps account of what holds platforms back. None of these may raise."""

    def held(self, platform: str, by: Holdup, now: float, /) -> None:
        """Hear what holds a platform back from now on."""
        ...

    def comes(self, how: Coming | Holdup, now: float, /) -> None:
        """Hear how work comes from now on, or who takes outcomes too slowly, for which none is asked for."""
        ...

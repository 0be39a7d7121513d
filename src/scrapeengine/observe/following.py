"""Who follows single tasks: by plain calls, and only those of a task and its requests that it wants to know of.

A sampler decides about each task, and leaves out most of them. By hooks, with a details object for each thing that
happens, those cost nearly as much as the ones that it takes: five of these a task. So who follows tasks is asked once
for each, and what it returns is called from then on::

    follow_task ── entered ── request_begun ── request_ended ── ended ── left

Samplers and what gets the spans are the program's own. So whatever raises is logged, and is taken out, as for hooks;
but for `entered` and `left`, which may not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import attrs

if TYPE_CHECKING:
    from scrapeengine.model.event import Event
    from scrapeengine.model.outcome import Outcome

__all__ = ["FollowsTask", "FollowsTasks", "RequestSent"]


@attrs.frozen(eq=False)
class RequestSent:
    """A request that is sent."""

    time: float
    to: str
    """The platform that it goes to."""
    method: str
    url: str
    attempt: int
    """Which attempt it is, from 1."""


class FollowsTask(Protocol):
    """Follows one task."""

    @property
    def follower(self) -> object:
        """Whose part it is."""
        ...

    @property
    def recorded(self) -> bool:
        """Whether it wants to hear how its task ends."""
        ...

    @property
    def requests(self) -> bool:
        """Whether it wants to hear of the requests of its task."""
        ...

    def entered(self) -> None:
        """Hear that the scraper is called now, in the context of the task. May not raise."""
        ...

    def request_begun(self, request: RequestSent, /) -> Mapping[str, str] | None:
        """Hear of a request that is sent; may return headers to add."""
        ...

    def request_ended(self, status: int, error: BaseException | None, received: int, now: float, /) -> None:
        """Hear how that request has ended.

        Args:
            status: its status; 0: no answer came.
            error: what has ended it; None: its answer was read as far as it was wanted.
            received: the bytes of its body, on the wire.
            now: when that is.
        """
        ...

    def ended(self, outcome: Outcome[Any], now: float, /) -> None:
        """Hear how the task has ended; what the run has to say of that is still to come."""
        ...

    def left(self) -> None:
        """Take out of the task's context what was put there: another task may run in it next. May not raise."""
        ...


class FollowsTasks(Protocol):
    """Follows tasks: a part of an instrument. It has both methods, so that no program's own is taken for one."""

    def follow_task(self, event: Event, platform: str, queued: float, now: float, /) -> FollowsTask:
        """Follow a task that starts.

        Args:
            event: its event.
            platform: the name of its platform.
            queued: the seconds for which it has waited.
            now: when it starts.
        """
        ...

    def taken_out(self, now: float, /) -> None:
        """Hear that it has failed, and that nothing else is to come but the ends of what it follows."""
        ...

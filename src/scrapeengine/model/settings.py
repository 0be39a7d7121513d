"""The settings of an engine: all knobs as they are at one instant, to be read and compared."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from scrapeengine.model.cadence import Cadence
from scrapeengine.model.described import described
from scrapeengine.model.policy import Caps, Rate, Retry, Timeout
from scrapeengine.model.urls import shown

__all__ = ["PlatformSettings", "Settings"]


@described
@attrs.frozen(kw_only=True)
class PlatformSettings:
    """The knobs of one platform; what each of them does is said at `Platform`.

    Its headers are none of them: they may be secrets, and settings are there to be shown. Nor is its transport.

    Size: 11 attributes, the other knobs of a platform.
    """

    base_url: str | None = attrs.field(repr=lambda url: repr(url and shown(url)))
    """The URL that relative URLs are joined to; shown without user and password."""
    limit: int
    """The most tasks that run at once; 0: the platform is paused."""
    rate: tuple[Rate, ...]
    """The rates at which requests may start, each of which holds; none: as many as the limit lets."""
    timeout: Timeout
    """How long requests and tasks may take."""
    retry: Retry
    """When a request is made again."""
    caps: Caps
    """Bounds of what the platform may send."""
    robots: bool | str
    """Whether robots.txt is obeyed, and by which name."""
    cookies: bool
    """Whether cookies are kept."""
    heed: bool
    """Whether limits that the platform states are heeded."""
    cadence: Cadence | None
    """How events that recur do so, in a store; None: as each was enqueued."""
    block_private: bool
    """Whether addresses that are not public are left alone."""

    @property
    def paused(self) -> bool:
        """Whether no task of it starts."""
        return self.limit == 0


@described
@attrs.frozen(kw_only=True)
class Settings:
    """The knobs of an engine and its platforms as they are now, tuned or not: `Engine.settings()`.

    Two are equal if all that was said is the same. They are a snapshot: later changes make another one.
    """

    event_limit: int | None
    """The most events that may be in progress at once, as was said; None: nobody has said it."""
    effective_event_limit: int = attrs.field(eq=False)
    """The one that holds: as was said, or as follows from the platforms' limits (`EnginePolicy.event_limit`)."""
    lookahead: int
    """The most events of the source that may wait for a start."""
    buffer: int
    """The most outcomes that may wait for the consumer, the sinks or the store."""
    max_pending: int
    """The most events that may wait for a start, followed ones included."""
    lease: float
    """The seconds after which a job of a process that lives and hangs is somebody else's."""
    dedupe: bool
    """Whether an id is a duplicate on its platform for the whole run."""
    platforms: Mapping[str, PlatformSettings]
    """The platforms by name: those that were declared, the default, and the hosts that were tuned by themselves."""

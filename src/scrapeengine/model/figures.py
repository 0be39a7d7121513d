"""The figures of a run: what `se.observe.Recording()` has counted, by platform. All times are in seconds."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from scrapeengine.model.described import described
from scrapeengine.model.history import RunHistory

__all__ = ["Distribution", "Figures", "HeldBack", "PlatformFigures"]


@described
@attrs.frozen(kw_only=True)
class Distribution:
    """How numbers are spread. The quantiles are within 1 % of true ones; all are 0 where there was no number."""

    count: int = 0
    """How many there were."""
    mean: float = 0.0
    p50: float = 0.0
    """The median."""
    p90: float = 0.0
    """Nine in ten are no greater."""
    p99: float = 0.0
    """99 in 100 are no greater."""
    most: float = 0.0
    """The greatest."""


@described
@attrs.frozen(kw_only=True)
class PlatformFigures:
    """The figures of one platform, or of all hosts of the default that are not told apart.

    Requests count where they went, also those that another platform's tasks have made; tasks and retries where the task
    belongs. A request that is tried again counts anew, and so does each redirect.

    Size: 17 attributes, a record.
    """

    requests: int
    """Requests that were sent and have ended: answered, failed and cut off."""
    answered: int
    """Those whose answer has come, and was read as far as the task wanted it."""
    failed: int
    """Those that no answer came to, or not the whole of it; a 4xx or 5xx is an answer."""
    cut_off: int
    """Those that were cancelled."""
    statuses: Mapping[int, int]
    """Requests by status, of all that got one."""
    retries: int
    """Requests that were tried again."""
    reruns: int
    """Runs of a scraper that `task.retry` has ended."""
    received: int
    """Bytes on the wire of all bodies that came to their end, as they were coded."""
    decoded: int
    """Bytes of these once they were decoded."""
    left: int
    """Bytes on the wire of bodies that were not read to their end."""
    opened: int
    """Connections that were made."""
    reused: int
    """Requests on kept connections. A transport of the program's own does not say, and counts in neither."""
    connect: Distribution
    """How long it took to connect."""
    head: Distribution
    """From the sending to the head of the answer."""
    whole: Distribution
    """From connecting to the last byte, where all came. Of a stream the scraper's own time between two parts too."""
    queued: Distribution
    """From when a task was accepted to its start."""
    parked: Distribution
    """How long a task was parked, each time."""


@described
@attrs.frozen(kw_only=True)
class HeldBack:
    """What held a platform back, of all the time from the run's beginning to its end, or to now."""

    shares: Mapping[str, float]
    """Shares of time by reason, with the sum 1. As long as work waited there: "limit", "share" (other engines), "rate",
    "penalty", "pause", "parked", "event limit", "consumer", "sinks" and "store", as in `PlatformStatistics.held_by`.
    While none did: "source" (it, or the store, gave no work), "lookahead" (it was not read on), or "consumer" and
    "sinks" (it was not read on for them), and "nothing" (no more came). Of hosts that are counted together the time in
    which work waited, host by host."""
    sentence: str
    """The same in one sentence."""


@described
@attrs.frozen(kw_only=True)
class Figures:
    """The figures of a run."""

    platforms: Mapping[str, PlatformFigures]
    """Requests and times by platform; the hosts that the default serves are under its name, but those that were to be
    told apart."""
    held: Mapping[str, HeldBack]
    """What held each platform back."""
    event_limit: float
    """The share of time in which the event limit held any platform back."""
    history: RunHistory | None = attrs.field(default=None, repr=False, metadata={"drawn": True})
    """How the run went, for `Report.write_html` to draw; None: the recording keeps none. It is thousands of numbers,
    and so in neither `to_dict` nor `to_json`."""

"""The history of a run: what its report draws, in bounded memory. All times are in seconds of the run's clock."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

import attrs

from scrapeengine.model.described import described

__all__ = ["Bar", "ClosedSpan", "Example", "Pace", "RunHistory", "Spread"]


Spread: TypeAlias = Mapping[str, tuple[tuple[float, float, int], ...]]
"""Histograms by what was measured: of each step from where to where it goes, and how many numbers there were."""


class Bar(NamedTuple):
    """One task, as a timeline draws it. A tuple, for one is made for each task that ends."""

    platform: str
    """The task's own platform."""
    id: str
    kind: str
    """How it ended: "succeeded", "failed", "skipped" or "cancelled"."""
    error: str
    """The class of a failure's error; else empty."""
    ended: float
    queued: float
    """Seconds from when it was accepted to its start."""
    ran: float
    """Seconds from its start to its end."""
    attempts: int
    """How often the scraper was run."""
    parked: tuple[float, ...]
    """When it was parked and when it went on, by turns; at most 64 of them."""
    connecting: tuple[float, ...]
    """When it began to connect and when it was connected, the same."""


@attrs.frozen
class Example:
    """One failure of its kind: the first."""

    time: float
    """When the task ended."""
    platform: str
    id: str
    """As it may be shown."""
    text: str
    """The error's own text, cut after 500 characters. A site may have written it."""


@attrs.frozen
class ClosedSpan:
    """A time for which a platform has asked not to be called."""

    platform: str
    """The name under which it is counted."""
    began: float
    until: float
    """When it was to open again, as was last said."""
    ended: float | None
    """When it did; None: it had not."""


@attrs.frozen
class Pace:
    """The requests of a platform over time."""

    width: float
    """The seconds that each number stands for."""
    used: tuple[int, ...]
    """How many were sent, from the beginning on."""
    allowed: tuple[float | None, ...]
    """How many a second its rate lets, at the end of each of these times; None: it has no rate."""


@described
@attrs.frozen(kw_only=True)
class RunHistory:
    """What a `Recording` knows of how a run went."""

    began: float
    """When the recording began; all times are of this clock."""
    default: str
    """The name under which the hosts are counted that the engine's default serves; empty: there is none."""
    bars: tuple[Bar, ...]
    """Tasks that were started and have ended, in the order of their ends: at most as many as the recording keeps."""
    left_out: Mapping[str, int]
    """How many others there were, by how they ended."""
    examples: Mapping[str, Example]
    """Of each class of error the first failure, for the first hundred classes."""
    closings: tuple[ClosedSpan, ...]
    """The first 400 times that platforms were closed."""
    closings_left_out: int
    """How many others there were."""
    paces: Mapping[str, Pace]
    """Requests over time by platform, where they went."""
    spread: Mapping[str, Spread]
    """Histograms by platform, of "connect", "head", "whole", "queued" and "parked"."""

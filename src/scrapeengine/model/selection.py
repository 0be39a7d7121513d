"""Which jobs of a store are meant: by platform, by id, by event, by status."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

import attrs

from scrapeengine.model.event import Event
from scrapeengine.model.job import JobStatus

__all__ = ["Selection", "statuses_of"]


@attrs.frozen
class Selection:
    """The jobs that a call means, whatever their status."""

    platform: str | None
    """Of this platform only; None: of any."""
    pairs: tuple[tuple[str | None, str], ...] | None
    """Ids, each with its platform or (None) on any; None: all jobs."""

    @classmethod
    def of(
        cls, platform: str | None, ids: Collection[str] | None = None, events: Collection[Event] | None = None
    ) -> Selection:
        """Read the arguments of a call; an event is meant on the platforms that it names, or on any."""
        if events is not None:
            named = ((name, event.id) for event in events for name in event.platforms or (platform,))
            found = dict.fromkeys(pair for pair in named if platform is None or pair[0] == platform)
            return cls(platform, tuple(found))
        if ids is not None:
            return cls(platform, tuple(dict.fromkeys((platform, each) for each in ids)))
        return cls(platform, None)

    def keys(self, platforms: Iterable[str]) -> Iterator[tuple[str, str]]:
        """Name the jobs, where these are the platforms that there are; not where all are meant."""
        there = sorted(platforms)
        for name, each in self.pairs or ():
            for platform in there if name is None else [name]:
                yield platform, each


def statuses_of(status: JobStatus | Collection[JobStatus] | None) -> frozenset[JobStatus]:
    """Read a status, or several; None: all."""
    if status is None:
        return frozenset(JobStatus)
    return frozenset([status] if isinstance(status, JobStatus) else status)

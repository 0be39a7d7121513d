"""The knobs of an engine that are not a platform's."""

from __future__ import annotations

import attrs

from scrapeengine.model.checks import each, whole

__all__ = ["EnginePolicy"]


@attrs.frozen(kw_only=True)
class EnginePolicy:
    """How much an engine has in hand at once."""

    event_limit: int = attrs.field(
        validator=each(whole, least=1, instead="; to pause, tune the limits of the platforms to 0")
    )
    """How many events may be in progress at once."""
    lookahead: int = attrs.field(validator=each(whole, least=1))
    """How many events of the source may wait for a start."""
    buffer: int = attrs.field(validator=each(whole, least=1))
    """How many outcomes may wait before no task starts any more."""
    max_pending: int = attrs.field(validator=each(whole, least=1))
    """How many events may wait for a start, followed ones included."""
    dedupe: bool = attrs.field(validator=attrs.validators.instance_of(bool))
    """Whether the ids of all events of a run are remembered."""

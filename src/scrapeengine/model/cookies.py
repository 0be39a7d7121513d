"""A cookie, as a program sees it."""

from __future__ import annotations

import attrs

from scrapeengine.model.described import described

__all__ = ["Cookie"]


@described
@attrs.frozen(kw_only=True)
class Cookie:
    """A cookie that an engine keeps for a platform. Its value is a secret, and in no `repr`."""

    name: str
    """The name."""
    value: str = attrs.field(repr=False)
    """The value."""
    domain: str
    """The host that it is sent to, in ASCII and without a port, for cookies know none."""
    host_only: bool = True
    """Whether it is sent to that host alone; if not, to all hosts below it too."""
    path: str = "/"
    """The path that it is sent to, and to all below it."""
    secure: bool = False
    """Whether it is sent over https only."""
    expires: float | None = None
    """The Unix time at which it is gone; None: it stays as long as the engine lives, or what was saved of it."""

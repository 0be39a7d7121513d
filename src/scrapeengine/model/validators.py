"""Validators: texts by which a site tells whether a page has changed (RFC 9110, section 8.8), and stores of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Protocol

import attrs

from scrapeengine.model.described import described

__all__ = ["Validator", "Validators"]

_MOST_BYTES = 1024
_UNSENDABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


def _check_text(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if value is None:
        return
    what = f"Validator({attribute.name}=…)"
    if not isinstance(value, str):
        raise TypeError(f"{what} must be a str as the site sent it, or None, got {type(value).__name__}")
    if not value or _UNSENDABLE.search(value):
        raise ValueError(f"{what} must have at least one character, and none that HTTP cannot send; else write None")
    if len(value.encode()) > _MOST_BYTES:
        raise ValueError(f"{what} must have at most {_MOST_BYTES} bytes; leave out what is longer: write None")


@described
@attrs.frozen
class Validator:
    """The validators of a page, as the site sent them: a letter for each byte, at most 1 KiB each.

    Raises:
        TypeError: a text is no `str`.
        ValueError: a text is empty, too long or has control characters in it, or there is none.
    """

    etag: str | None = attrs.field(default=None, validator=_check_text)
    """The `ETag`, with its quotes, and with its `W/` if it is a weak one."""
    last_modified: str | None = attrs.field(default=None, validator=_check_text)
    """The `Last-Modified`."""
    vary: str | None = attrs.field(default=None, validator=_check_text)
    """The headers of a request that the page hangs on, by its `Vary`, and a hash of what they were; None: on none.

    It is asked for by this validator only by requests whose headers have the same hash.
    """

    def __attrs_post_init__(self) -> None:
        """Refuse one that tells nothing."""
        if self.etag is None and self.last_modified is None:
            raise ValueError("a Validator needs an etag or a last_modified; where a page has neither, keep none")


class Validators(Protocol):
    """A place that keeps validators between runs, so that later ones ask only for what has changed.

    The engine asks and tells; what it keeps, and for how long, is the store's own affair. What a store has forgotten is
    fetched whole. The URLs are without user, password and fragment, but with their query, which may hold a secret.
    """

    async def recall(self, platform: str, url: str) -> Validator | None:
        """Return what is known of a URL, or None.

        Called before each attempt of a conditional request, and before each hop of its redirects. It should be quick:
        the task holds its slot meanwhile, and the time counts as the task's.

        Args:
            platform: the name of the platform whose task asks.
            url: what is asked for.
        """
        ...

    async def remember(self, platform: str, found: Mapping[str, Validator | None]) -> None:
        """Keep what the conditional requests of one task have found, instead of what was known of these URLs.

        Called only once the task has ended in `Success`, so that what was not processed is asked for again. What it
        raises is logged and dropped: the outcome stands.

        Args:
            platform: the name of the platform whose task asked.
            found: the validators by URL, at least one; None: what was known is to be forgotten, for what was processed
                now has none.
        """
        ...

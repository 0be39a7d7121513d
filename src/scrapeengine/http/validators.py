"""Conditional requests (RFC 9110, section 13): what to send of a validator, what an answer offers, what is kept."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

import httpx

from scrapeengine.model.checks import whole
from scrapeengine.model.validators import Validator

__all__ = ["MemoryValidators", "asked", "fresh_for", "offered"]

_ETAG = re.compile(r'(?:W/)?"[!#-~\xa0-\ud7ff\ue000-\U0010ffff]*"')
"""RFC 9110, section 8.8.3. What stands for bytes above ASCII may be any character: httpx has decoded them."""
_MAX_AGE = re.compile(r"(?:^|[\s,])max-age\s*=\s*\"?([0-9]{1,10})(?![0-9])", re.IGNORECASE | re.ASCII)
"""RFC 9111, section 5.2.2.1."""
_STALE = re.compile(r"(?:^|[\s,])(?:no-store|no-cache)(?=[\s,=]|$)", re.IGNORECASE | re.ASCII)
_AGE = re.compile(r"[0-9]{1,10}", re.ASCII)
_MOST_BYTES = 1024
_LONGEST_URL = 4096


def asked(validator: Validator) -> dict[str, str]:
    """Return the headers that ask only for what has changed."""
    headers = {}
    if validator.etag is not None:
        headers["If-None-Match"] = validator.etag
    # A server that knows the one ignores the other (RFC 9110, section 13.1.3); some know only the other.
    if validator.last_modified is not None:
        headers["If-Modified-Since"] = validator.last_modified
    return headers


def offered(headers: httpx.Headers | Mapping[str, str]) -> Validator | None:
    """Return the validator that an answer offers, or None.

    An `ETag` that breaks the grammar is as good as none, and so are a `Last-Modified` that is no date, and either of
    more than 1 KiB. A weak one is fine: we compare whole pages, not ranges.
    """
    given = headers if isinstance(headers, httpx.Headers) else {name.lower(): text for name, text in headers.items()}
    etag, modified = given.get("etag", "").strip(" \t"), given.get("last-modified", "").strip(" \t")
    known = Validator(etag, None) if _fits(etag) and _ETAG.fullmatch(etag) else None
    if not (_fits(modified) and _is_date(modified)):
        return known
    return Validator(None if known is None else known.etag, modified)


def fresh_for(headers: httpx.Headers | Mapping[str, str]) -> float:
    """Return for how many seconds an answer is fresh, by its `Cache-Control: max-age` and its `Age`; 0 if it says none.

    Only whole numbers of ASCII digits count, and an answer that is not to be kept is never fresh.
    """
    control = headers.get("cache-control", "")
    found = _MAX_AGE.search(control)
    if found is None or _STALE.search(control):
        return 0.0
    age = headers.get("age", "").strip(" \t")
    return max(0.0, float(found[1]) - (float(age) if _AGE.fullmatch(age) else 0.0))


def _fits(text: str) -> bool:
    return 0 < len(text) <= _MOST_BYTES and len(text.encode("utf-8", "surrogatepass")) <= _MOST_BYTES


def _is_date(text: str) -> bool:
    """Say whether a text is an HTTP date, in any of its forms."""
    if not text.isascii() or not text.isprintable():
        return False
    try:
        parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return False
    return True


class MemoryValidators:
    """Validators in memory, least recently used out first. Implements `scrapeengine.model.validators.Validators`.

    URLs of more than 4 KiB are not kept: a site can make them up by redirects.
    """

    def __init__(self, most: int = 10_000) -> None:
        """Make an empty one.

        Args:
            most: how many are kept.

        Raises:
            TypeError: `most` is no int.
            ValueError: it is less than 1.
        """
        self._most = whole(most, "MemoryValidators(most=…)", least=1)
        self._known: OrderedDict[tuple[str, str], Validator] = OrderedDict()

    def __repr__(self) -> str:
        """Count them."""
        return f"<MemoryValidators {len(self._known)}/{self._most}>"

    async def recall(self, platform: str, url: str) -> Validator | None:
        """Return what is known of a URL, or None. No checkpoint."""
        key = (platform, url)
        found = self._known.get(key)
        if found is not None:
            self._known.move_to_end(key)
        return found

    async def remember(self, platform: str, found: Mapping[str, Validator]) -> None:
        """Keep what was found, instead of what was known of these URLs. No checkpoint."""
        for url, validator in found.items():
            if len(url) > _LONGEST_URL:
                continue
            key = (platform, url)
            self._known[key] = validator
            self._known.move_to_end(key)
        while len(self._known) > self._most:
            self._known.popitem(last=False)

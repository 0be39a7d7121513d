"""Conditional requests (RFC 9110, section 13): what to send of a validator, what an answer offers, what is kept."""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

import httpx

from scrapeengine.http.transport.answer import Fields
from scrapeengine.http.wire.answers import header
from scrapeengine.http.wire.call import Headers
from scrapeengine.model.checks import whole
from scrapeengine.model.validators import Validator

__all__ = ["MemoryValidators", "asked", "fits", "fresh_for", "offered"]

AnyHeaders = httpx.Headers | Fields | Mapping[str, str]
"""Headers as httpx has them, in bytes as they came, or as texts with a letter for each byte."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_LATIN_DATE = re.compile(r"[ -~\x80-\xff]*[0-9][ -~\x80-\xff]*")
"""Letters of one byte each, and a digit: what more a site's own date has, only the site knows."""
_MAX_AGE = re.compile(r"(?:^|[\s,])max-age\s*=\s*\"?([0-9]{1,10})(?![0-9])", re.IGNORECASE | re.ASCII)
"""RFC 9111, section 5.2.2.1."""
_STALE = re.compile(r"(?:^|[\s,])(?:no-store|no-cache)(?=[\s,=]|$)", re.IGNORECASE | re.ASCII)
_AGE = re.compile(r"[0-9]{1,10}", re.ASCII)
_NAMES = re.compile(r"[!#$%&'*+\-.^_`|~0-9a-z]+(?:, [!#$%&'*+\-.^_`|~0-9a-z]+)*")
_MOST_BYTES = 1024
_MOST_NAMES = 900
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


def offered(headers: AnyHeaders, sent: Headers = ()) -> Validator | None:
    """Return the validator that an answer offers, or None.

    An `ETag` is echoed as it came, also one that breaks the grammar: without its quotes, or weak by a small letter.
    What cannot be echoed is as good as none: one with control characters, `*`, which stands for any, and either text of
    more than 1 KiB; so is a `Last-Modified` that is no date. A weak one is fine: we compare whole pages, not ranges.

    Args:
        headers: the answer's.
        sent: the request's, on which the answer may hang by its `Vary`. An answer that hangs on what is in no header
            (`Vary: *`) offers none.
    """
    etag, modified = _value(headers, b"etag"), _value(headers, b"last-modified")
    known_etag = etag if _fits(etag) and etag != "*" and not _CONTROL.search(etag) else None
    known_modified = modified if _fits(modified) and _is_date(modified) else None
    if known_etag is None and known_modified is None:
        return None
    names = ", ".join(sorted({name.strip(" \t").lower() for name in _all(headers, b"vary").split(",")} - {""}))
    if not names:
        return Validator(known_etag, known_modified)
    if len(names) > _MOST_NAMES or "*" in names or not _NAMES.fullmatch(names):
        return None
    return Validator(known_etag, known_modified, f"{names} {_hash(names, sent)}")


def fits(validator: Validator, sent: Headers) -> bool:
    """Say whether a validator is one of the answer to such a request: by what its answer's `Vary` names.

    Args:
        validator: what is known of the URL.
        sent: the request's headers.
    """
    if validator.vary is None:
        return True
    names, _, known = validator.vary.rpartition(" ")
    return known == _hash(names, sent)


def _hash(names: str, sent: Headers) -> str:
    """Return what stands for the values that a request has for headers; they may be secrets."""
    values = {name: [value for key, value in sent if key == name.encode()] for name in names.split(", ")}
    return hashlib.sha256(repr(values).encode()).hexdigest()[:32]


def _value(headers: AnyHeaders, name: bytes) -> str:
    """Return the first value of a header, a letter for each byte, without the blanks around it."""
    if isinstance(headers, Mapping) and not isinstance(headers, httpx.Headers):
        return next((text for key, text in headers.items() if key.lower().encode() == name), "").strip(" \t")
    value = header(headers.raw if isinstance(headers, httpx.Headers) else headers, name)
    return "" if value is None else value.decode("latin-1").strip(" \t")


def _all(headers: AnyHeaders, name: bytes) -> str:
    """Return all values of a header, as one list."""
    if isinstance(headers, Mapping) and not isinstance(headers, httpx.Headers):
        return ", ".join(text for key, text in headers.items() if key.lower().encode() == name)
    fields = headers.raw if isinstance(headers, httpx.Headers) else headers
    return b", ".join([value for key, value in fields if key.lower() == name]).decode("latin-1")


def fresh_for(headers: AnyHeaders) -> float:
    """Return for how many seconds an answer is fresh, by its `Cache-Control: max-age` and its `Age`; 0 if it says none.

    Only whole numbers of ASCII digits count, and an answer that is not to be kept is never fresh.
    """
    control = _all(headers, b"cache-control")
    found = _MAX_AGE.search(control)
    if found is None or _STALE.search(control):
        return 0.0
    # Given twice, or as a list, by caches that stand one behind the other: the first is nearest to us.
    age = _value(headers, b"age").partition(",")[0].strip(" \t")
    return max(0.0, float(found[1]) - (float(age) if _AGE.fullmatch(age) else 0.0))


def _fits(text: str) -> bool:
    return 0 < len(text) <= _MOST_BYTES and len(text.encode("utf-8", "surrogatepass")) <= _MOST_BYTES


def _is_date(text: str) -> bool:
    """Say whether a text is a date: HTTP's in any of its forms, or one in another language, as the site knows it."""
    if _CONTROL.search(text):
        return False
    if not text.isascii():
        return bool(_LATIN_DATE.fullmatch(text))
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

    async def remember(self, platform: str, found: Mapping[str, Validator | None]) -> None:
        """Keep what was found, instead of what was known of these URLs. No checkpoint."""
        for url, validator in found.items():
            if len(url) > _LONGEST_URL:
                continue
            key = (platform, url)
            self._known.pop(key, None)
            if validator is not None:
                self._known[key] = validator
        while len(self._known) > self._most:
            self._known.popitem(last=False)

"""Which request goes out: URLs joined, headers chosen, redirects followed. Pure, but for httpx's types."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx

from scrapeengine.errors import InvalidRequest, RedirectError
from scrapeengine.http.decoding import ACCEPT_ENCODING
from scrapeengine.model.event import Event, host_of, shown
from scrapeengine.model.platform import Platform

__all__ = ["build", "redirected"]

_DEFAULTS = {"accept": "*/*", "accept-encoding": ACCEPT_ENCODING, "user-agent": "scrapeengine"}

_TELLS_NOTHING = frozenset({"accept", "accept-encoding", "accept-language", "user-agent"})
"""The headers that may go to another origin: they say nothing that was meant for this one only."""

_OF_A_BODY = frozenset({"content-length", "content-type", "content-encoding", "transfer-encoding"})


def build(
    policy: Platform[Any],
    event: Event,
    method: str,
    url: str,
    *,
    platform: str,
    params: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
    **parts: Any,
) -> httpx.Request:
    """Build the request that a task has asked for.

    Raises:
        InvalidRequest: the URL or a header is malformed, or the URL is relative and there is nothing to join it to.
    """
    method = method.upper()
    where: dict[str, Any] = {"platform": platform, "method": method, "url": shown(url), "phase": "build"}
    try:
        whole = _joined(url, policy.base_url, event.url)
        if host_of(str(whole)) is None:
            raise InvalidRequest(
                "the URL is no http or https URL with a host; a relative one needs a base_url", **where
            )
        if params:
            whole = whole.copy_merge_params(params)
        home = policy.base_url or event.url
        at_home = home is None or _origin(home) == _origin(str(whole))
        sent = _DEFAULTS | {
            name.lower(): value for name, value in policy.headers.items() if at_home or name.lower() in _TELLS_NOTHING
        }
        sent |= _credentials(whole) or (_credentials(httpx.URL(home)) if home is not None and at_home else {})
        sent |= {name.lower(): value for name, value in (headers or {}).items()}
        return httpx.Request(method, whole, headers=sent, **parts)
    except (httpx.InvalidURL, UnicodeError) as error:
        raise InvalidRequest(f"the request could not be built: {type(error).__name__}", **where) from None


def _origin(url: str) -> tuple[str, str | None]:
    return urlsplit(url).scheme.lower(), host_of(url)


def _credentials(url: httpx.URL) -> dict[str, str]:
    """Return the header by which user and password of a URL are sent, if it has them (RFC 7617)."""
    if not (url.username or url.password):
        return {}
    return {"authorization": f"Basic {b64encode(f'{url.username}:{url.password}'.encode()).decode()}"}


def _joined(url: str, base_url: str | None, event_url: str | None) -> httpx.URL:
    """Make a URL absolute: below `base_url` as `httpx.Client` has it, or seen from the event's own."""
    whole = httpx.URL(url)
    if not whole.is_relative_url:
        return whole
    if base_url is not None:
        base = httpx.URL(base_url)
        return base.copy_with(raw_path=base.raw_path.rstrip(b"/") + b"/" + whole.raw_path.lstrip(b"/"))
    return whole if event_url is None else httpx.URL(event_url).join(whole)


def redirected(request: httpx.Request, response: httpx.Response, where: dict[str, Any]) -> httpx.Request | None:
    """Return the request that a redirect leads to (RFC 9110, section 15.4); None if the answer is no redirect.

    Args:
        request: the one that was answered.
        response: its answer.
        where: what errors say of the request.

    Raises:
        RedirectError: it leads to no http or https URL, or would carry a body to another origin.
    """
    location = response.headers.get("Location")
    if location is None or response.status_code not in {301, 302, 303, 307, 308}:
        return None
    try:
        return _onward(request, response.status_code, request.url.join(location), where)
    except (httpx.InvalidURL, ValueError):  # UnicodeError of idna is one; httpx decodes names when it looks at them
        raise RedirectError("a redirect to a malformed URL", **where) from None


def _onward(request: httpx.Request, status: int, url: httpx.URL, where: dict[str, Any]) -> httpx.Request:
    if host_of(str(url)) is None:
        raise RedirectError(f"a redirect to {shown(str(url))!r}, which is no http or https URL", **where)
    method = request.method
    if status == 303 or (status in {301, 302} and method == "POST"):
        method = "HEAD" if method == "HEAD" else "GET"
    body = request.content if method == request.method else b""
    away = _origin(str(url)) != _origin(str(request.url))
    if away and body:
        raise RedirectError(f"a redirect that would carry a body to {shown(str(url))!r}", **where)
    dropped = {"host"} if body else {"host", *_OF_A_BODY}
    headers = {
        name: value
        for name, value in request.headers.items()
        if name not in dropped and (not away or name in _TELLS_NOTHING)
    }
    if away or url.userinfo != request.url.userinfo:
        headers |= _credentials(url)
    return httpx.Request(method, url, headers=headers, content=body or None)

"""Requests as they are to go out: URL, headers and body, and what becomes of them at a redirect. Pure.

Whatever a scraper's arguments are, what leaves here is `InvalidRequest`, or a `TypeError` that says what to write.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Mapping
from typing import Any

import httpx

from scrapeengine.errors import InvalidRequest, RedirectError
from scrapeengine.http.transport.connection import Origin
from scrapeengine.http.transport.sending import framing
from scrapeengine.http.wire.answers import Response, location_of
from scrapeengine.http.wire.bodies import NotEncodable, RequestBody, body_of, form
from scrapeengine.http.wire.call import Call, Headers
from scrapeengine.http.wire.decoding import ACCEPT_ENCODING
from scrapeengine.model.event import Event
from scrapeengine.model.platform import Platform
from scrapeengine.model.standards import REDIRECTS
from scrapeengine.model.urls import Url, UrlError, below, host_of, joined, parse, shown

__all__ = ["LONGEST", "build", "redirected"]

LONGEST = 65_000
"""The characters that a URL may have; httpx, whose requests and answers show it, takes no more than 65,536."""

_DEFAULTS = {b"accept": b"*/*", b"accept-encoding": ACCEPT_ENCODING.encode(), b"user-agent": b"scrapeengine"}
_TELLS_NOTHING = frozenset({b"accept", b"accept-encoding", b"accept-language", b"user-agent"})
"""The headers that may go to another origin: they say nothing that was meant for this one only."""
_GOES_ALONG = _TELLS_NOTHING | {b"range", b"if-range"}
"""Those that may go there by a redirect: a part is asked for wherever the whole is."""
_OF_A_BODY = frozenset(
    {
        *(b"content-digest", b"content-encoding", b"content-language", b"content-length", b"content-location"),
        *(b"content-md5", b"content-type", b"digest", b"expect", b"repr-digest", b"trailer", b"transfer-encoding"),
    }
)
"""Headers that describe a body, and go with it (Fetch, "request-body-header name"; RFC 9110, section 10.1.1)."""
_METHOD = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}")
"""A token (RFC 9110, section 5.6.2), of a length that methods have."""
_EXPECTS_A_BODY = frozenset({"POST", "PUT", "PATCH"})

_ByName = dict[bytes, list[bytes]]
"""Headers by their names in lower case."""


def build(
    platform: Platform[Any],
    event: Event,
    method: str,
    url: Any,
    *,
    name: str,
    params: Any = None,
    headers: Any = None,
    content: Any = None,
    data: Any = None,
    files: Any = None,
    json: Any = None,
) -> Call:
    """Build the request that a task has asked for.

    Args:
        platform: the task's.
        event: the task's.
        method: the HTTP method.
        url: absolute, or relative to the platform's `base_url` or the event's URL.
        name: the name of the task's platform: its own, or that of the host.
        params: what is added to the query.
        headers: what is sent beside the platform's own.
        content: the body, as it is.
        data: the body, as a form.
        files: the body, with files in it.
        json: the body, as JSON.

    Raises:
        InvalidRequest: the URL or a header is malformed, or the URL is relative and there is nothing to join it to.
        TypeError: an argument is of the wrong type.
    """
    text = _text_of(method, url)
    said = _shown_method(method)
    where: dict[str, Any] = {"platform": name, "method": said, "url": shown(text), "phase": "build"}
    try:
        goes_to = _resolved(text, platform.base_url, event.url)
        target = goes_to.target if params is None else _with_params(goes_to.target, params)
        if len(goes_to.place) + len(target) > LONGEST:
            where["url"] = f"{where['url'][:200]}…"
            raise InvalidRequest("the URL is too long", **where)
        body = body_of(content, data, files, json)
        sent = _headers(platform, event, goes_to, _pairs_of(headers))
        framed = _framed(method.upper(), sent, body)
        origin = Origin(goes_to.scheme, goes_to.host, goes_to.port, platform.block_private)
        carried = body or RequestBody()
        return Call.of(
            method.upper(), origin, goes_to.place, target.encode("ascii"), framed, carried.data, carried.upload
        )
    except UrlError as error:
        raise InvalidRequest(f"the URL cannot be asked for: {error}", **where) from None
    except NotEncodable as error:
        raise InvalidRequest(str(error), **where) from None
    except httpx.LocalProtocolError as error:
        raise InvalidRequest(str(error), **where) from None


# -- the URL


def _text_of(method: Any, url: Any) -> str:
    if not isinstance(method, str):
        raise TypeError(f"the method of a request is a str, such as 'GET', and got {type(method).__name__}")
    if isinstance(url, str):
        return url
    if isinstance(url, httpx.URL):
        return str(url)
    raise TypeError(f"the URL of a request is a str or an httpx.URL, and got {type(url).__name__}; write str(url)")


def _shown_method(method: str) -> str:
    """Return a method as errors may show it: what is none may be the URL, in the wrong place."""
    return method.upper() if _METHOD.fullmatch(method) else "(malformed method)"


def _resolved(text: str, base_url: str | None, event_url: str | None) -> Url:
    """Make a URL absolute: below `base_url`, or seen from the event's own."""
    if base_url is not None:
        return below(base_url, text)
    if event_url is not None and host_of(event_url) is not None:
        return joined(event_url, text)
    try:
        return parse(text)
    except UrlError as error:
        if not error.relative:
            raise
        hint = "" if event_url is None else ", which that of this event is not"
        raise UrlError(
            "it is no http or https URL with a host; a relative one needs a base_url of its platform, or an event with "
            f"an absolute URL{hint}"
        ) from None


def _with_params(target: str, params: Any) -> str:
    """Add to a query, and change nothing in it."""
    if isinstance(params, str | bytes):
        raise TypeError(
            f"params=… takes a mapping or pairs, and got {type(params).__name__}; put it into the URL instead"
        )
    if not isinstance(params, Mapping | Iterable):
        raise TypeError(f"params=… takes a mapping or pairs, and got {type(params).__name__}")
    added = form(params.multi_items() if isinstance(params, httpx.QueryParams) else params, "params")
    if not added:
        return target
    path, mark, query = target.partition("?")
    between = "&" if query and not query.endswith("&") else ""
    return f"{path}?{query if mark else ''}{between}{added}"


# -- the headers


def _headers(platform: Platform[Any], event: Event, goes_to: Url, given: _ByName) -> _ByName:
    """Choose what goes out: the defaults, the platform's own, those of user and password, and then the request's."""
    home_url = platform.base_url or event.url
    home = None if home_url is None or host_of(home_url) is None else parse(home_url)
    at_home = home is None or home.origin == goes_to.origin
    sent: _ByName = {name: [value] for name, value in _DEFAULTS.items()}
    for name, values in _pairs_of(platform.headers).items():
        if at_home or name in _TELLS_NOTHING:
            sent[name] = values
    sent |= _credentials(goes_to) or (_credentials(home) if home is not None and at_home else {})
    sent |= given
    if b"range" in sent and b"accept-encoding" not in given:
        sent[b"accept-encoding"] = [b"identity"]  # of what is encoded, a part is of no use
    return {b"host": sent.pop(b"host", [goes_to.place.encode("ascii")])} | sent


def _pairs_of(headers: Any) -> _ByName:
    """Read headers as a caller gives them: a mapping, or pairs, of texts or bytes."""
    if headers is None:
        return {}
    if isinstance(headers, httpx.Headers):
        pairs: Iterable[Any] = headers.raw
    elif isinstance(headers, Mapping):
        pairs = headers.items()
    elif isinstance(headers, Iterable) and not isinstance(headers, str | bytes):
        pairs = headers
    else:
        raise TypeError(f"headers=… takes a mapping or pairs, and got {type(headers).__name__}; {_WRITE_HEADERS}")
    once = isinstance(headers, Mapping) and not isinstance(headers, httpx.Headers)
    found: _ByName = {}
    for pair in pairs:
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise TypeError(f"headers=… takes pairs of texts, and got {type(pair).__name__} for one; {_WRITE_HEADERS}")
        name = _in_bytes(pair[0], "a name in headers=…").lower()
        value = _in_bytes(pair[1], f"the header {name.decode('latin-1')!r} in headers=…")
        found[name] = [value] if once else [*found.get(name, ()), value]
    return found


_WRITE_HEADERS = "write {'X-Name': 'value'} or [('X-Name', 'value'), …]"


def _in_bytes(value: Any, what: str) -> bytes:
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise TypeError(f"{what} must be a text, and got {type(value).__name__}; write str(…)")
    if not value.isascii():
        raise NotEncodable(f"{what} has characters beyond ASCII: give its bytes, in the encoding that the site reads")
    return value.encode("ascii")


def _credentials(url: Url) -> _ByName:
    """Return the header by which user and password of a URL are sent, if it has them (RFC 7617)."""
    if not (url.username or url.password):
        return {}
    return {b"authorization": [b"Basic " + b64encode(url.username + b":" + url.password)]}


# -- the body


def _framed(method: str, sent: _ByName, body: RequestBody | None) -> Headers:
    """Return all headers, with those that say what the body is and how long.

    Raises:
        NotEncodable: headers of the scraper's own would make the server read more or less than the body.
        httpx.LocalProtocolError: it has two Hosts, or one that is none.
    """
    if b"transfer-encoding" in sent:
        raise NotEncodable("Transfer-Encoding is not the request's to say: it follows from its body")
    length = 0 if body is None else len(body.data) if body.upload is None else body.upload.length
    said = sent.get(b"content-length")
    if body is not None:
        for name, value in body.headers.items():
            sent.setdefault(name.encode(), [value.encode()])
    if said is not None:
        if len(said) > 1 or not said[0].isdigit() or (length is not None and said != [b"%d" % length]):
            raise NotEncodable("the Content-Length of the request is not its body's")
    elif length is None:
        sent[b"transfer-encoding"] = [b"chunked"]
    elif body is not None or method in _EXPECTS_A_BODY:
        sent[b"content-length"] = [b"%d" % length]
    lines = [(name, value) for name, values in sent.items() for value in values]
    framing(lines, parts=body is not None and body.upload is not None)
    return tuple(lines)


# -- redirects


def redirected(call: Call, answer: Response, where: dict[str, Any]) -> Call | None:
    """Return the call that a redirect leads to (RFC 9110, section 15.4); None if the answer is no redirect.

    Args:
        call: the one that was answered.
        answer: its answer.
        where: what errors say of the request.

    Raises:
        RedirectError: it leads to no http or https URL, would carry a body to another origin, or needs one again that
            is gone.
    """
    location = location_of(answer.raw_headers) if answer.status_code in REDIRECTS else None
    if location is None:
        return None
    try:
        goes_to = joined(call.url, location)
    except UrlError as error:
        if error.foreign:
            leads_to = f"a redirect to {shown(location)!r}, which is no http or https URL"
            raise RedirectError(leads_to, **where) from None
        raise RedirectError("a redirect to a malformed URL", **where) from None
    if len(goes_to.text) > LONGEST:
        raise RedirectError("a redirect to a malformed URL: it is too long", **where)
    return _onward(call, answer.status_code, goes_to, where)


def _onward(call: Call, status: int, goes_to: Url, where: dict[str, Any]) -> Call:
    method = call.method
    # A 301 or 302 makes a GET of a POST, as clients have always done (RFC 9110, sections 15.4.2 and 15.4.3).
    if status == 303 or (status in {301, 302} and method == "POST"):
        method = "HEAD" if method == "HEAD" else "GET"
    kept = method == call.method
    body, upload = (call.body, call.upload) if kept else (b"", None)
    away = goes_to.origin != (call.origin.scheme, call.host)
    if away and (body or upload):
        raise RedirectError(f"a redirect that would carry a body to {shown(goes_to.text)!r}", **where)
    if upload is not None and not upload.renewable:
        raise RedirectError(
            "a redirect that asks for the body once more, which cannot be read anew: "
            "give it as bytes, as a file that can seek, or as an iterable that is no iterator",
            **where,
        )
    dropped = {b"host"} if body or upload else {b"host", *_OF_A_BODY}
    headers = [
        (name, value) for name, value in call.headers if name not in dropped and (not away or name in _GOES_ALONG)
    ]
    if not (body or upload) and method in _EXPECTS_A_BODY:
        headers.append((b"content-length", b"0"))
    for name, values in _credentials(goes_to).items():
        headers = [(other, value) for other, value in headers if other != name] + [(name, value) for value in values]
    origin = Origin(goes_to.scheme, goes_to.host, goes_to.port, call.origin.guarded)
    target = goes_to.target.encode("ascii")
    whole = ((b"host", goes_to.place.encode("ascii")), *headers)
    return Call.of(method, origin, goes_to.place, target, whole, body, upload)

"""URLs as browsers read them: the one place where a text becomes a place to go to (WHATWG URL Standard).

`can_ada` is the parser: blanks around are stripped, tabs and line breaks inside too, backslashes are slashes, dot
segments are resolved, hosts are written in one way (UTS 46 for names, IPv4 in any form, IPv6), and what breaks the
grammar of path and query is percent-encoded. It leaves `^` in a path, which the standard encodes: that is done here.

A final dot of a host is dropped: `shop.test.` would be a second platform, with a second rate. Names that DNS cannot
have (`a..b`, a label of 64) pass, as they do in browsers, and are refused where they are connected to.

Rejected: `urljoin`, `httpx.URL` and `idna`, each of which reads some references in its own way: what one of them takes
for a path is another host to the next.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote_to_bytes, urlsplit, urlunsplit

import can_ada

from scrapeengine.model.standards import PORTS

__all__ = ["Url", "UrlError", "below", "host_of", "joined", "named", "named_host", "parse", "shown", "told"]

_BLANK = "".join(map(chr, range(0x21)))
"""Characters that are stripped around a URL: the control characters of ASCII, and space."""
_INSIDE = re.compile(r"[\t\n\r]")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:")
_TWO_SLASHES = re.compile(r"[/\\]{2}")

_URLISH = re.compile(r"//|\\\\|https?:/|^\s*https?:|^\s*/[^?#]*[?#]|[?#][^=]*=|:[^/?#]*@", re.IGNORECASE)
"""Signs that an id is a URL, or is made of one: it may hold secrets. Better to take too much for one."""

_USER_WITHIN = re.compile(r"(//|(?<=:)/)[^/@]+@")
"""User and password of a URL in the path of another one, as proxies and archives have it."""


class UrlError(ValueError):
    """A text is no URL that can be asked for. Says why, and quotes nothing of it.

    Attributes:
        relative: whether there was nothing that it could be joined to.
        foreign: whether it is of another scheme than `http` and `https`.
    """

    def __init__(self, message: str, *, relative: bool = False, foreign: bool = False) -> None:
        super().__init__(message)
        self.relative = relative
        self.foreign = foreign


class Url(NamedTuple):
    """The place that a request goes to."""

    scheme: str
    """`http` or `https`."""
    host: str
    """A name in ASCII and lower case, without a final dot, or an address; IPv6 without brackets."""
    port: int
    place: str
    """The host as platforms are named by it, and as `Host` has it: with its port where that is not the scheme's own."""
    target: str
    """The path and the query, in ASCII."""
    username: bytes = b""
    """The user, decoded, and the password likewise."""
    password: bytes = b""

    @property
    def text(self) -> str:
        """The URL, without user, password and fragment."""
        return f"{self.scheme}://{self.place}{self.target}"

    @property
    def origin(self) -> tuple[str, str]:
        """The parts that tell its origin from others."""
        return self.scheme, self.place


def parse(text: str) -> Url:
    """Read an absolute URL.

    Raises:
        UrlError: it is relative or malformed, or of another scheme.
    """
    try:
        return _url(can_ada.parse(text))
    except (ValueError, TypeError) as error:  # a lone surrogate is a TypeError
        raise _why(text, error) from None


def joined(base: str, reference: str) -> Url:
    """Read a reference, seen from an absolute URL.

    Raises:
        UrlError: one of them is malformed, or it leads to another scheme.
    """
    try:
        return _url(can_ada.parse(base) + reference)
    except (ValueError, TypeError) as error:
        raise _why(reference, error, base) from None


def below(base: str, reference: str) -> Url:
    """Read a reference as a path below a URL, as `httpx.Client(base_url=…)` does; absolute ones as they are.

    What has a scheme, or begins with two slashes, is no path: it goes where it says.

    Args:
        base: an absolute URL without query and fragment.
        reference: any; `/a`, `a`, `?b` and the empty one are below the base.

    Raises:
        UrlError: one of them is malformed, or it leads to another scheme.
    """
    stripped = _INSIDE.sub("", reference.strip(_BLANK))
    if _SCHEME.match(stripped) or _TWO_SLASHES.match(stripped):
        return joined(base, stripped)
    path = stripped[1:] if stripped.startswith(("/", "\\")) else stripped
    home = _INSIDE.sub("", base.strip(_BLANK)).rstrip("/\\")
    return joined(base, f"{home}/{path}")


def host_of(url: str) -> str | None:
    """Name the platform of a URL: its host, with the port where it is not the scheme's own.

    Returns:
        The host in lower case, international names as ASCII, addresses in their usual form, without a final dot; None
        if the URL is no `http` or `https` URL with a valid host.

    Raises:
        TypeError: it is no text.
    """
    if not isinstance(url, str):
        raise TypeError(f"host_of takes a URL as a str, got {type(url).__name__}; write host_of(str(url))")
    try:
        return _place(can_ada.parse(url))[2]
    except (ValueError, TypeError):  # a lone surrogate is a TypeError
        return None


def named_host(name: str) -> str | None:
    """Return the host that a platform's name means, in the form that `host_of` gives; None if it means none."""
    if any(each in name for each in "/\\?#@"):
        return None
    return host_of(f"{'https' if name.endswith(':443') else 'http'}://{name}/")


def shown(url: str) -> str:
    """Return the URL as it may be shown: without user and password, fragment, and the values of its query."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # what is no number there may be a password with a slash in it
    except ValueError:
        return "(malformed URL)"
    host = parts.netloc.rpartition("@")[2]
    scheme, path = parts.scheme, _USER_WITHIN.sub(r"\1", parts.path)
    if not parts.netloc and "@" in path:
        # What stands before it may be meant as user and password, and the user looks like a scheme.
        scheme, path = "", path.rpartition("@")[2]
    pairs = (pair.partition("=") for pair in parts.query.split("&"))
    query = "&".join(f"{key}=…" if equals else "…" for key, equals, _ in pairs) if parts.query else ""
    return urlunsplit((scheme, host, path, query, ""))


def named(id: str) -> str:
    """Return an id as it may be shown: `shown` if it is a URL or made of one, else as it is."""
    return shown(id) if _URLISH.search(id) else id


def told(given: object) -> str:
    """Return what a program has given as an error may quote it: as `repr` does, but without the secrets of a URL."""
    if isinstance(given, str):
        return repr(named(given))
    if isinstance(given, bytes):
        return f"b{named(given.decode('latin-1'))!r}"
    text = repr(given)
    # Where URLs begin and end in there, nobody knows.
    return f"{type(given).__name__}(…)" if _URLISH.search(text) else text


def _place(url: can_ada.URL) -> tuple[str, str, str, int]:
    """Return scheme, host and place of a URL, and its port."""
    scheme = url.protocol[:-1]
    port = PORTS.get(scheme)
    if port is None:
        raise UrlError("it is no http or https URL", foreign=True)
    host = url.hostname.removesuffix(".")
    if not host or host.endswith("."):
        raise UrlError("it has no host")
    if own := url.port:
        return scheme, host, f"{host}:{own}", int(own)
    return scheme, host, host, port


def _url(url: can_ada.URL) -> Url:
    scheme, host, place, port = _place(url)
    # Not `search`, which is empty for a question mark with nothing behind it.
    whole = url.href.partition("#")[0]
    target = whole[whole.index("/", len(scheme) + 3) :]
    if "^" in target:
        path, mark, query = target.partition("?")
        target = path.replace("^", "%5E") + mark + query
    return Url(
        scheme, host.strip("[]"), port, place, target, unquote_to_bytes(url.username), unquote_to_bytes(url.password)
    )


def _why(text: str, error: Exception, base: str | None = None) -> UrlError:
    """Say why a text could not be read."""
    if isinstance(error, UrlError):
        if error.foreign and base is not None:
            hint = "a path whose first segment has a colon is written './a:b'"
            return UrlError(f"{error}; {hint}", foreign=True)
        return error
    if base is None and not _SCHEME.match(_INSIDE.sub("", text.strip(_BLANK))):
        return UrlError("it is relative", relative=True)
    return UrlError("it is malformed")

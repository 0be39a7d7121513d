"""The platform of a URL: its host, spelled in one way only."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrapeengine.model.urls import host_of


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://example.com", "example.com"),
        ("https://example.com/a?b#c", "example.com"),
        ("https://anna:hunter2@example.com/", "example.com"),
        ("https://anna:hunter2@example.com:81/", "example.com:81"),
        ("HTTPS://WWW.Example.COM/A", "www.example.com"),
        ("https://example.com./", "example.com"),
        ("https://example.com.:81/", "example.com:81"),
        ("https://localhost", "localhost"),
        ("https://127.0.0.1:9/", "127.0.0.1:9"),
    ],
)
def test_hosts(url: str, host: str) -> None:
    """The host comes in lower case, without user, path and final dot."""
    assert host_of(url) == host


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://x.org:80/", "x.org"),
        ("https://x.org:443/", "x.org"),
        ("http://x.org:443/", "x.org:443"),
        ("https://x.org:80/", "x.org:80"),
        ("http://x.org:080/", "x.org"),
        ("http://x.org:/", "x.org"),
        ("http://x.org:65535/", "x.org:65535"),
        ("http://x.org:1", "x.org:1"),
    ],
)
def test_ports(url: str, host: str) -> None:
    """A port is part of the name, unless it is the scheme's own."""
    assert host_of(url) == host


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://[::1]/", "[::1]"),
        ("http://[::1]:80/", "[::1]"),
        ("http://[2001:DB8::A]:8080/", "[2001:db8::a]:8080"),
        ("http://anna@[::1]:8080/", "[::1]:8080"),
    ],
)
def test_ipv6(url: str, host: str) -> None:
    """An IPv6 address keeps its brackets, so that a port can follow it."""
    assert host_of(url) == host


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://bücher.de/", "xn--bcher-kva.de"),
        ("https://BÜCHER.de:8080/", "xn--bcher-kva.de:8080"),
        ("https://xn--bcher-kva.de/", "xn--bcher-kva.de"),
        ("https://пример.рф", "xn--e1afmkfd.xn--p1ai"),
        ("https://bücher.de./", "xn--bcher-kva.de"),
    ],
)
def test_international_names(url: str, host: str) -> None:
    """An international name is one platform, whether it is written in its letters or in ASCII."""
    assert host_of(url) == host


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "//example.com/",
        "/a/b",
        "mailto:anna@example.com",
        "ftp://example.com/",
        "ws://example.com/",
        "httpx://example.com/",
        "data:,http://example.com/",
        "javascript:alert(1)",
        "http://",
        "https://:443/",
        "https://anna@/",
        "https://./",
        "https://../",
    ],
)
def test_a_url_without_a_host_or_of_another_scheme(url: str) -> None:
    """What is no http or https URL with a host has none."""
    assert host_of(url) is None


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http:example.com", "example.com"),
        ("http:///example.com/a", "example.com"),
        (" \thttps:\\\\Example.com\\a\n", "example.com"),
        ("ht\ntp://exa\tmple.com/", "example.com"),
        ("http://127.1/", "127.0.0.1"),
        ("http://0x7f000001:81/", "127.0.0.1:81"),
        ("http://017700000001/", "127.0.0.1"),
        ("http://[0:0:0:0:0:0:0:1]/", "[::1]"),
        ("http://[::ffff:1.2.3.4]/", "[::ffff:102:304]"),
        ("http://☃.net/", "xn--n3h.net"),
        ("http://xn--ls8h.la/", "xn--ls8h.la"),
        ("http://bu\u0308cher.example/", "xn--bcher-kva.example"),
        ("http://ex%61mple.com/", "example.com"),
        ("http://exa\u00admple.com/", "example.com"),
        ("http://a..b/", "a..b"),
    ],
)
def test_hosts_as_browsers_read_them(url: str, host: str) -> None:
    """However a host is written, it is one platform (WHATWG URL Standard, section 4.4, and UTS 46)."""
    assert host_of(url) == host


@pytest.mark.parametrize(
    "url",
    [
        "http://x.org:65536/",
        "http://x.org:-1/",
        "http://x.org:+80/",
        "http://x.org:8o/",
        "http://x.org:80:90/",
        "http://x.org:٣/",
        "http://[::1/",
        "http://::1]/",
        "http://[zz]/",
        "http://xn--a/",
        "http://a b/",
        "http://1.2.3.999/",
        "http://a.0x/\ud800",
    ],
)
def test_a_malformed_url(url: str) -> None:
    """A bad port, a bad address or a name that has no ASCII form is no valid host, and raises nothing."""
    assert host_of(url) is None


@given(
    name=st.lists(st.text(string.ascii_letters + string.digits, min_size=1, max_size=9), min_size=1, max_size=4).filter(
        lambda labels: labels[-1][0].isalpha() and not any(label.lower().startswith("xn") for label in labels)
    ),
    port=st.none() | st.integers(0, 65535),
    scheme=st.sampled_from(["http", "https"]),
)
def test_what_it_names_is_a_host_again(name: list[str], port: int | None, scheme: str) -> None:
    """The name of a platform, written as a URL, is the same platform."""
    host = host_of(f"{scheme}://{'.'.join(name)}{'' if port is None else f':{port}'}/")
    assert host is not None
    assert host == host.lower()
    assert host_of(f"{scheme}://{host}/") == host


@given(st.text(max_size=40))
def test_any_text_has_a_host_or_none(text: str) -> None:
    """No text makes it raise, and what it returns is ASCII."""
    for url in (text, f"http://{text}", f"https://x.org:{text}", f"http://{text}.example.com/"):
        host = host_of(url)
        assert host is None or host.isascii()


@pytest.mark.parametrize("dot", ["。", "．", "｡"])
def test_a_final_dot_of_another_script_is_no_part_of_the_name(dot: str) -> None:
    """IDNA takes four characters for a dot (RFC 3490, section 3.1), so a final one of them makes no other platform."""
    assert host_of(f"https://例え{dot}jp{dot}/") == "xn--r8jz45g.jp"

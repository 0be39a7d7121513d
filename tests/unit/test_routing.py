"""Which platforms an event runs on."""

from __future__ import annotations

from typing import Any

import pytest

from scrapeengine.decide.routing import Route, Routes
from scrapeengine.errors import UnknownPlatform
from scrapeengine.model.event import Event
from scrapeengine.model.platform import Platform


async def scrape(_task: object) -> None:
    """Scrape nothing."""


def routes(*platforms: Platform[Any], hosts: bool = False) -> Routes:
    """Make the routes of an engine with these platforms."""
    return Routes({platform.name: platform for platform in platforms}, hosts=hosts)


A = Platform("a", scrape, base_url="https://api.a.org/v1")
B = Platform("b", scrape, base_url="https://b.org:8443/")
PLAIN = Platform("plain", scrape)


def test_an_event_without_platforms_and_url_runs_on_all() -> None:
    """Every declared platform takes it, in the order of their declaration."""
    assert routes(B, A, PLAIN).of(Event("m1")) == Route(("b", "a", "plain"))


def test_an_event_runs_on_those_that_it_names() -> None:
    """The names decide, in the event's order, also when it has a URL of another platform's host."""
    assert routes(A, B, PLAIN).of(Event("m1", platforms=("plain", "a"))) == Route(("plain", "a"))
    assert routes(A, B).of(Event(url="https://api.a.org/x", platforms=("b",))) == Route(("b",))


def test_names_that_no_platform_has_are_told_from_the_others() -> None:
    """The known ones are served; each other comes with an error that lists what there is."""
    route = routes(A, B).of(Event("m1", platforms=("x", "b", "y")))
    assert route.known == ("b",)
    assert [name for name, _ in route.unknown] == ["x", "y"]
    for name, error in route.unknown:
        assert isinstance(error, UnknownPlatform)
        assert str(error) == f"no platform is named {name!r}; the engine has 'a', 'b'"


def test_a_long_list_of_platforms_is_cut() -> None:
    """The error names ten platforms, not thousands."""
    many = routes(*(Platform(f"p{number}", scrape) for number in range(12)))
    [(_, error)] = many.of(Event("m1", platforms=("x",))).unknown
    assert str(error).endswith("'p8', 'p9'")


def test_an_engine_without_platforms_knows_no_name() -> None:
    """Its default serves hosts, and a name in an event is none; the error says that there are no others."""
    route = routes(hosts=True).of(Event("m1", platforms=("a.org",)))
    assert route.known == ()
    [(name, error)] = route.unknown
    assert name == "a.org"
    assert str(error) == "no platform is named 'a.org'; the engine has none"


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://api.a.org/v1/x", "a"),
        ("http://API.A.org./other", "a"),
        ("https://b.org:8443/x", "b"),
    ],
)
def test_a_url_runs_on_the_platform_of_its_host(url: str, name: str) -> None:
    """The host of the base URL decides, whatever scheme and path are."""
    for hosts in (False, True):
        assert routes(PLAIN, A, B, hosts=hosts).of(Event(url=url)) == Route((name,))


@pytest.mark.parametrize("url", ["https://a.org/", "https://b.org/", "https://b.org:8444/", "https://plain/x"])
def test_another_host_is_another_platform(url: str) -> None:
    """A domain above or a port beside is not the platform's host; a name is one, for a platform that serves hosts."""
    route = routes(A, B, PLAIN).of(Event(url=url))
    if url == "https://plain/x":
        assert route == Route(("plain",))
    else:
        assert route.known == ()


def test_a_host_that_has_no_platform_is_unknown() -> None:
    """The error names the host, and says how to serve it."""
    route = routes(A).of(Event("m1", url="https://c.org/?token=t0ps3cret"))
    assert route.known == ()
    [(name, error)] = route.unknown
    assert name == "c.org"
    assert isinstance(error, UnknownPlatform)
    assert "no platform serves the host 'c.org'" in str(error)
    assert "default=Platform('*', …)" in str(error)
    assert "t0ps3cret" not in str(error)


def test_the_default_makes_each_host_a_platform() -> None:
    """Hosts of no declared platform are named by themselves; the others are as they were."""
    served = routes(A, hosts=True)
    assert served.of(Event(url="https://C.org:8080/x")) == Route(("c.org:8080",))
    assert served.of(Event(url="https://api.a.org/x")) == Route(("a",))


def test_a_platform_named_by_its_host_serves_it() -> None:
    """Such a platform needs no base URL, and comes before another one whose base URL has that host."""
    by_name = Platform("api.a.org", scrape)
    for platforms in ((A, by_name), (by_name, A)):
        assert routes(*platforms).of(Event(url="https://api.a.org/x")) == Route(("api.a.org",))


def test_of_two_with_one_host_the_first_serves_its_urls() -> None:
    """The order of declaration decides."""
    twin = Platform("twin", scrape, base_url="https://api.a.org/v2")
    assert routes(A, twin).of(Event(url="https://api.a.org/x")) == Route(("a",))
    assert routes(twin, A).of(Event(url="https://api.a.org/x")) == Route(("twin",))


@pytest.mark.parametrize("hosts", [False, True])
@pytest.mark.parametrize("url", ["ftp://anna:hunter2@a.org/x", "a.org/x", "https://x.org:bad/", "", "http://[::1"])
def test_a_url_that_has_no_host_runs_nowhere(url: str, *, hosts: bool) -> None:
    """The empty name stands for none, and the error says what to do, without the URL's secrets."""
    route = routes(A, hosts=hosts).of(Event("m1", url=url))
    assert route.known == ()
    [(name, error)] = route.unknown
    assert name == ""
    assert isinstance(error, UnknownPlatform)
    assert str(error).endswith("is no http or https URL, so it has no host; name the event's platforms")
    assert "hunter2" not in str(error)


def test_an_event_of_an_engine_without_platforms_runs_nowhere() -> None:
    """Without a name, a URL or a platform there is nothing to run on."""
    route = routes(hosts=True).of(Event("m1"))
    assert route.known == ()
    [(name, error)] = route.unknown
    assert name == ""
    assert isinstance(error, UnknownPlatform)
    assert str(error) == "the event names no platform, and the engine has none"


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("Shop.Test", "http://shop.test/x"),
        ("shop.test", "https://SHOP.test./x"),
        ("shop.test.", "http://shop.test/"),
        ("bücher.example", "http://xn--bcher-kva.example/"),
        ("xn--bcher-kva.example", "http://BU\u0308CHER.example/"),
        ("☃.net", "http://xn--n3h.net/x"),
        ("127.1", "http://0x7f000001/"),
        ("Shop.Test:8080", "http://shop.test:8080/"),
        ("shop.test:80", "http://shop.test/"),
        ("[0:0::1]", "http://[::1]/"),
    ],
)
def test_a_name_that_is_a_host_serves_it_however_it_is_written(name: str, url: str) -> None:
    """The platform keeps the name that it was given, and is the only one of that host."""
    for hosts in (False, True):
        assert routes(PLAIN, Platform(name, scrape), hosts=hosts).of(Event(url=url)) == Route((name,))


def test_of_two_names_of_one_host_the_one_that_is_written_like_it_comes_first() -> None:
    """Else the first that was declared; and each is still found by its own name."""
    large, small, odd = (Platform(name, scrape) for name in ("Shop.Test", "shop.test", "SHOP.test"))
    assert routes(large, small).of(Event(url="http://shop.test/")) == Route(("shop.test",))
    assert routes(odd, large).of(Event(url="http://shop.test/")) == Route(("SHOP.test",))
    assert routes(odd, large).of(Event("m", platforms=("Shop.Test", "SHOP.test"))) == Route(("Shop.Test", "SHOP.test"))


def test_an_event_may_name_a_host_as_it_likes() -> None:
    """It is the platform that has it for a name; named twice, it is one. What is no host is compared as it is."""
    shop = Platform("Shop.Test", scrape)
    assert routes(shop, A).of(Event("m", platforms=("shop.test.", "a"))) == Route(("Shop.Test", "a"))
    assert routes(shop).of(Event("m", platforms=("shop.test", "SHOP.TEST"))) == Route(("Shop.Test",))
    assert routes(A).of(Event("m", platforms=("A",))).known == ()
    assert routes(A).of(Event("m", platforms=("api.a.org",))).known == ()


def test_a_url_with_odd_letters_has_a_host_of_its_own_where_any_may_be() -> None:
    """One name for one host, so that it has one rate."""
    urls = ["http://b\u00fccher.example/", "http://bu\u0308cher.example./", "http://XN--BCHER-KVA.example:80/"]
    assert {routes(hosts=True).of(Event(url=url)) for url in urls} == {Route(("xn--bcher-kva.example",))}

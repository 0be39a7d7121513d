"""Platforms: what they take, what they refuse, and what they show of themselves."""

from __future__ import annotations

import functools
import re
from types import MappingProxyType
from typing import Any

import attrs
import pytest

from scrapeengine.model import policy
from scrapeengine.model.cadence import Cadence
from scrapeengine.model.platform import Platform
from scrapeengine.model.policy import Rate, Retry, Timeout


async def scrape(_task: object) -> int:
    """Scrape nothing."""
    return 1


def blocking(_task: object) -> int:
    """Be no scraper: a plain function."""
    return 1


class Scraper:
    """A scraper that is an object."""

    async def __call__(self, _task: object) -> int:
        """Scrape nothing."""
        return 1

    async def method(self, _task: object) -> int:
        """Scrape nothing."""
        return 1


def make(**changes: Any) -> Platform[int]:
    """Make a platform that differs from the plainest one in what is named."""
    return Platform(**({"name": "p", "scrape": scrape} | changes))


def test_the_defaults() -> None:
    """A name and a scraper are enough."""
    platform = Platform("p", scrape)
    assert (platform.name, platform.scrape, platform.limit, platform.rate) == ("p", scrape, 8, ())
    assert (platform.timeout, platform.retry, dict(platform.headers)) == (Timeout(), Retry(), {})
    assert platform.base_url is None
    assert platform.host is None


def test_only_name_and_scraper_are_positional() -> None:
    """A number in third place is refused: no one could tell what it is."""
    with pytest.raises(TypeError):
        Platform("p", scrape, 5)  # type: ignore[misc]


@pytest.mark.parametrize("limit", [0, 1, 10**6])
def test_limits(limit: int) -> None:
    """A limit of 0 is allowed: it pauses the platform."""
    assert make(limit=limit).limit == limit


def test_wrong_limits_are_refused() -> None:
    """The message says what 0 means, and how to have none."""
    hint = "; 0 pauses the platform, and to have it unlimited, write a large number$"
    with pytest.raises(ValueError, match=rf"^Platform\(limit=…\) must be at least 0, got -1{hint}"):
        make(limit=-1)
    for wrong in (None, 2.0, True, "2"):
        with pytest.raises(TypeError, match=rf"^Platform\(limit=…\) must be a whole number, got .*{hint}"):
            make(limit=wrong)


@pytest.mark.parametrize("name", [None, 5, b"p"])
def test_a_name_of_another_type_is_refused(name: Any) -> None:
    """A name is a str."""
    with pytest.raises(TypeError, match=r"^Platform\(name=…\) must be a str, got "):
        make(name=name)


def test_an_empty_name_is_refused() -> None:
    """The message says what the name is for."""
    with pytest.raises(ValueError, match=r"^Platform\(name=…\) must not be empty: outcomes are told apart by it$"):
        make(name="")


@pytest.mark.parametrize(
    "scraper", [scrape, Scraper(), Scraper().method, functools.partial(scrape), functools.partial(scrape, object())]
)
def test_whatever_is_async_can_be_the_scraper(scraper: Any) -> None:
    """Functions, methods, callable objects and partials of these are scrapers."""
    assert make(scrape=scraper).scrape is scraper


@pytest.mark.parametrize(
    ("wrong", "shown"),
    [(blocking, "blocking"), (5, "5"), (None, "None"), (int, "int"), (functools.partial(blocking), "functools.*")],
)
def test_what_is_not_async_is_refused(wrong: Any, shown: str) -> None:
    """The message names the platform and the function, and says where blocking code goes."""
    hint = r"write `async def scrape\(task\): …`, and call blocking code with `await task\.in_thread\(function, …\)`$"
    with pytest.raises(TypeError, match=f"^the scraper of platform 'p' must be an async function, got {shown}; {hint}"):
        make(scrape=wrong)


@pytest.mark.parametrize(
    ("base_url", "host"),
    [
        ("https://api.example.com/v1", "api.example.com"),
        ("HTTP://EXAMPLE.com:80", "example.com"),
        ("http://localhost:8080/", "localhost:8080"),
        ("https://bücher.de/", "xn--bcher-kva.de"),
    ],
)
def test_the_host_is_that_of_the_base_url(base_url: str, host: str) -> None:
    """A platform serves the URLs of its base URL's host."""
    platform = make(base_url=base_url)
    assert platform.base_url == base_url
    assert platform.host == host


@pytest.mark.parametrize(
    "wrong",
    ["", "example.com", "ftp://example.com", "https://", "http://[::1", "https://x.org/?a=1", "https://x.org/#a"],
)
def test_a_wrong_base_url_is_refused(wrong: str) -> None:
    """The message names the platform, and shows a right one."""
    hint = r"http or https URL with a host and no query, such as 'https://api\.example\.com/v1'$"
    with pytest.raises(ValueError, match=f"^the base_url of platform 'p' must be an {hint}"):
        make(base_url=wrong)


def test_the_refusal_of_a_base_url_tells_no_secret() -> None:
    """What is in a URL that is refused stays out of the message."""
    with pytest.raises(ValueError, match="base_url") as caught:
        make(base_url="https://anna:hunter2@x.org/?key=t0ps3cret")
    assert not any(secret in str(caught.value) for secret in ("anna", "hunter2", "t0ps3cret"))


def test_a_base_url_of_another_type_is_refused() -> None:
    """A base URL is a str."""
    with pytest.raises(TypeError, match=r"^Platform\(base_url=…\) must be a str, got 5$"):
        make(base_url=5)


def test_a_rate_is_a_rate_or_none() -> None:
    """A number is no rate; the message shows the rate to write."""
    assert make(rate=Rate(2)).rate == (Rate(2),)
    for wrong in (2, 0, False, "2/s", Rate):
        with pytest.raises(
            TypeError,
            match=r"^Platform\(rate=…\) must be a Rate, several in a list, or None, got .*; write rate=Rate\(2\)",
        ):
            make(rate=wrong)


@pytest.mark.parametrize(
    ("field", "number", "write"),
    [
        ("timeout", 2, "Timeout(attempt=2)"),
        ("timeout", 0.5, "Timeout(attempt=0.5)"),
        ("rate", 7, "Rate(7)"),
        ("retry", 3, "Retry(attempts=3)"),
        ("cadence", 60, "Cadence(min_interval=60)"),
        ("caps", 1000, "Caps(body=1000)"),
    ],
)
def test_a_number_is_answered_with_the_policy_to_write(field: str, number: float, write: str) -> None:
    """It can be written so. The same holds where it is tuned, which makes a platform of a platform."""
    for give in (make, functools.partial(attrs.evolve, make())):
        with pytest.raises(TypeError, match=re.escape(f"got {number}; write {field}={write}")):
            give(**{field: number})
    assert make(**{field: eval(write, vars(policy) | {"Cadence": Cadence})})


@pytest.mark.parametrize(("field", "kind"), [("timeout", "Timeout"), ("retry", "Retry")])
def test_timeout_and_retry_are_their_policies(field: str, kind: str) -> None:
    """A number is no policy; the message names the field and the class."""
    for wrong in (5, None):
        with pytest.raises(TypeError, match=rf"{field}.*must be.*{kind}"):
            make(**{field: wrong})


def test_policies_are_kept() -> None:
    """What is handed over is what the platform has."""
    platform = make(timeout=Timeout(attempt=1), retry=Retry(attempts=1))
    assert (platform.timeout, platform.retry) == (Timeout(attempt=1), Retry(attempts=1))


def test_headers_are_copied_and_cannot_be_changed() -> None:
    """Neither the caller's dict nor the platform's own can change them later."""
    headers = {"X-A": "1"}
    platform = make(headers=headers)
    headers["X-A"] = "2"
    assert platform.headers == {"X-A": "1"}
    assert isinstance(platform.headers, MappingProxyType)
    with pytest.raises(TypeError):
        platform.headers["X-A"] = "3"  # type: ignore[index]


@pytest.mark.parametrize("wrong", [None, 5, "X-A: 1", [("X-A", "1")]])
def test_headers_of_another_type_are_refused(wrong: Any) -> None:
    """Headers are a mapping; the message names the type only, since what was given may be secret."""
    kind = type(wrong).__name__
    with pytest.raises(TypeError, match=rf"^Platform\(headers=…\) must be a mapping of names to values, got {kind}$"):
        make(headers=wrong)


@pytest.mark.parametrize("headers", [{"X-A": 5}, {"X-A": b"t0ps3cret"}, {"X-A": None}, {5: "t0ps3cret"}])
def test_headers_that_are_no_texts_are_refused(headers: Any) -> None:
    """Names and values are texts; the message does not show the value."""
    with pytest.raises(
        TypeError, match=r"^Platform\(headers=…\) takes texts, got (int|bytes|NoneType|str) for "
    ) as caught:
        make(headers=headers)
    assert "t0ps3cret" not in str(caught.value)


@pytest.mark.parametrize("character", ["\r", "\n", "\0"])
@pytest.mark.parametrize("in_name", [False, True])
def test_headers_that_would_break_a_request_are_refused(character: str, *, in_name: bool) -> None:
    """A line break or a NUL in a name or a value would smuggle in other headers; the value is not shown."""
    headers = {f"X{character}A": "t0ps3cret"} if in_name else {"X-A": f"t0ps3cret{character}"}
    with pytest.raises(ValueError, match=r"of platform 'p' has a line break or a NUL in it$") as caught:
        make(headers=headers)
    assert "t0ps3cret" not in str(caught.value)


def test_it_is_frozen() -> None:
    """No field can be set."""
    platform = make()
    for field in attrs.fields(Platform):
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(platform, field.name, getattr(platform, field.name))


def test_a_changed_copy_is_checked_too() -> None:
    """What evolves from a platform has the other fields of it, and its validators."""
    platform = make(headers={"X-A": "1"}, limit=3)
    assert attrs.evolve(platform, limit=0) == make(headers={"X-A": "1"}, limit=0)
    with pytest.raises(ValueError, match="0 pauses the platform"):
        attrs.evolve(platform, limit=-1)


def test_it_is_a_value() -> None:
    """Platforms with the same fields are equal and hash alike; headers count for the first only."""
    one, other = make(headers={"X-A": "1"}), make(headers={"X-A": "2"})
    assert one == make(headers={"X-A": "1"})
    assert one != other
    assert hash(one) == hash(other)


def test_its_repr_tells_no_secret() -> None:
    """Neither headers nor the base URL are shown."""
    platform = make(base_url="https://anna:hunter2@x.org/", headers={"Authorization": "t0ps3cret"}, limit=7)
    assert not any(secret in repr(platform) for secret in ("anna", "hunter2", "Authorization", "t0ps3cret"))
    assert "name='p'" in repr(platform)
    assert "limit=7" in repr(platform)


@pytest.mark.parametrize("headers", [{"X": "é"}, {"é": "x"}])
def test_headers_beyond_ascii_are_refused(headers: dict[str, str]) -> None:
    """How they are sent nobody says; a request can give them in bytes."""
    with pytest.raises(ValueError, match=r"beyond ASCII.*in bytes$"):
        make(headers=headers)


@pytest.mark.parametrize("robots", [True, False, "MyBot", "MJ12bot", "360Spider", "bot.v2", "my-bot", "My_Bot", "-"])
def test_robots_it_takes(robots: Any) -> None:
    """Whether, or by which name; names of letters, digits, underscores, hyphens and dots."""
    assert make(robots=robots).robots == robots


@pytest.mark.parametrize(
    ("robots", "hint"),
    [
        ("MyBot/1.0", "'MyBot'"),
        ("MyBot/1.0 (+https://x.test)", "'MyBot'"),
        (" MyBot ", "'MyBot'"),
        ("MyBot\n", "'MyBot'"),
        ("My Bot", "'My'"),
        ("MyBot*", "'MyBot'"),
        ("Mozilla/5.0 (compatible; MyBot/1.0; +https://x.test/bot)", "'MyBot'"),
        ("Bot9ja/2", "'Bot9ja'"),
        ("9 bots", "'MyBot'"),
        ("*", "'MyBot'"),
        ("", "'MyBot'"),
        ("größe", "'gr'"),
        ("\uff2dyBot", "'MyBot'"),
    ],
)
def test_a_robot_s_name_that_is_none_is_refused(robots: str, hint: str) -> None:
    """The message says what to write instead."""
    with pytest.raises(ValueError, match=r"^the robots of platform 'p' must be a name") as caught:
        make(robots=robots)
    assert f"write robots={hint}, or True" in str(caught.value)


@pytest.mark.parametrize("robots", [None, 1, 0, b"MyBot", ["MyBot"]])
def test_robots_of_a_wrong_type_are_refused(robots: Any) -> None:
    """Nothing else says whether, or by which name."""
    with pytest.raises(TypeError, match=r"^Platform\(robots=…\) must be True, False or the name of a robot"):
        make(robots=robots)

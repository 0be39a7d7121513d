"""What a robots.txt allows, whatever it has in it."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scrapeengine.http.features import robots
from scrapeengine.http.features.robots import MOST_BYTES, Rules, read

HERE = "https://x.test"
DAY = 86400.0


def rules(text: str) -> Rules:
    """Read a file that was answered with a 200."""
    return read(200, text.encode(), now=0.0)


def allows(text: str, path: str, agent: str = "ExampleBot") -> bool:
    """Say what a file has for a path."""
    return rules(text).allows(HERE + path, agent)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 451, 499])
def test_a_site_without_one_allows_all_for_a_day(status: int) -> None:
    """A 4xx says that there are no rules (section 2.3.1.3), whatever its body says."""
    found = read(status, b"User-agent: *\nDisallow: /", now=5.0)
    assert found.allows(f"{HERE}/a", "ExampleBot")
    assert found.until == 5.0 + DAY
    assert found.size == 0


@pytest.mark.parametrize("status", [None, 429, 500, 502, 503, 599, 100, 199, 300, 301, 304, 399, 600, 0, 999])
def test_what_cannot_be_had_forbids_all_for_a_minute(status: int | None) -> None:
    """A 5xx, a 429, no answer or none that means anything forbids all (section 2.3.1.4), but for the file itself."""
    found = read(status, b"User-agent: *\nAllow: /", now=5.0)
    assert not found.allows(f"{HERE}/a", "ExampleBot")
    assert not found.allows(HERE, "ExampleBot")
    assert found.allows(f"{HERE}/robots.txt", "ExampleBot")
    assert found.crawl_delay("ExampleBot") is None
    assert found.until == 65.0


@pytest.mark.parametrize("status", [200, 203, 204, 299])
def test_a_file_counts_for_a_day(status: int) -> None:
    """A 2xx is read."""
    found = read(status, b"User-agent: *\nDisallow: /a", now=5.0)
    assert not found.allows(f"{HERE}/a", "ExampleBot")
    assert found.allows(f"{HERE}/b", "ExampleBot")
    assert found.until == 5.0 + DAY


@pytest.mark.parametrize(
    ("rule", "path", "forbidden"),
    [
        ("Disallow: /", "/a", True),
        ("Disallow:", "/a", False),
        ("Disallow: /a", "/b", False),
        ("Disallow: /a", "/ab", True),
        ("Disallow: /a", "/A", False),
        ("disallow:/a", "/a", True),
        ("  DISALLOW  :  /a  ", "/a", True),
        ("Disallow /a", "/a", True),
        ("Disallow /a # not here", "/a", True),
        ("Disallow", "/a", False),
        ("Disallow these robots /a", "/a", False),
        ("Disallow: /a\nAllow these robots", "/a", True),
        ("Disallow: /a\nUser agent rules follow\nDisallow: /b", "/b", True),
        *((f"{name}: /a", "/a", True) for name in ("disallaw", "Disalow", "Dissalow", "dissallow", "diasllow")),
        ("Disallowed: /a", "/a", False),
        ("Disallow: /a # not here", "/a", True),
        ("# Disallow: /a", "/a", False),
        ("Disallow: /a\nAllow: /a/b", "/a/b", False),
        ("Allow: /a/b\nDisallow: /a", "/a/c", True),
        ("Disallow: /a\nAllow: /a", "/a", False),
        ("Disallow: /*.php$", "/a.php", True),
        ("Disallow: /*.php$", "/a.php?b", False),
        ("Disallow: /a*c", "/abbc", True),
        ("Disallow: /a?b", "/a?b=1", True),
        ("Disallow: /%7Ea", "/~a", True),
        ("Disallow: /ä", "/%C3%A4", True),
        ("Disallow: /a\vb", "/a", False),
        ("Disallow: /a\u2028b", "/a%E2%80%A8bc", True),
        ("Sitemap: /a", "/a", False),
    ],
)
def test_rules(rule: str, path: str, forbidden: bool) -> None:  # noqa: FBT001
    """The longest rule that matches decides, and between two of the same length the one that allows (section 2.2.2)."""
    assert allows(f"User-agent: *\n{rule}\n", path) is not forbidden


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_line_endings(ending: str) -> None:
    """All three are line breaks, and the last line needs none."""
    assert not allows(ending.join(["User-agent: *", "Disallow: /a", "Allow: /b"]), "/a")


@pytest.mark.parametrize(
    ("text", "agent", "forbidden"),
    [
        ("User-agent: ExampleBot\nDisallow: /", "examplebot", True),
        ("User-agent: examplebot/2.1\nDisallow: /", "ExampleBot/1.0 (+https://y.test)", True),
        ("User-agent: ExampleBot\nDisallow: /", "ExampleBotNews", False),
        ("User-agent: Example\nDisallow: /", "ExampleBot", False),
        ("User-agent: bot9ja\nDisallow: /", "Bot9ja", True),
        ("User-agent: ExampleBot*\nDisallow: /", "ExampleBot", True),
        ("User-agent: *\nDisallow: /", "", True),
        ("User-agent: *\nDisallow: /", "*", True),
        ("User-agent: *\nDisallow: /", "Ünnamed", True),
        ("User-agent: *\nDisallow: /\n\nUser-agent: ExampleBot\nDisallow: /b", "ExampleBot", False),
        ("User-agent: *\nDisallow: /\n\nUser-agent: ExampleBot\nDisallow:", "ExampleBot", False),
        ("User-agent: a\nUser-agent: ExampleBot\nDisallow: /", "ExampleBot", True),
        ("User-agent: a\nDisallow: /\nUser-agent: ExampleBot\n", "ExampleBot", False),
        ("User-agent: a\nDisallow:\nUser-agent: ExampleBot\nDisallow: /", "a", False),
        ("User-agent: a\nSitemap: /s\nFoo: bar\nUser-agent: ExampleBot\nDisallow: /", "a", True),
        ("User-agent: a\nCrawl-delay: 5\nUser-agent: ExampleBot\nDisallow: /", "a", True),
        ("User-agent: a\nCrawl-delay: 5\n\n\nUser-agent: ExampleBot\nDisallow: /", "a", True),
        ("User-agent: a\nRequest-rate: 1/5\nUser-agent: ExampleBot\nDisallow: /", "a", True),
        ("User-agent: a\nCrawl-delay: soon\nUser-agent: ExampleBot\nDisallow: /", "a", True),
        ("User-agent: a\nnonsense\nHost: x.test\nUser-agent: *\nDisallow: /", "a", True),
        ("User-agent: a\nDisallow:\nCrawl-delay: 5\nUser-agent: ExampleBot\nDisallow: /", "a", False),
        ("User-agent: a\nAllow: /\nUser-agent: ExampleBot\nDisallow: /", "a", False),
        (
            "User-agent: ExampleBot\nAllow: /b\n\nUser-agent: a\n\nUser-agent: examplebot\nDisallow: /",
            "ExampleBot",
            True,
        ),
        ("Disallow: /", "ExampleBot", False),
        ("\ufeffUser-agent: *\nDisallow: /", "ExampleBot", True),
        ("", "ExampleBot", False),
    ],
)
def test_groups(text: str, agent: str, forbidden: bool) -> None:  # noqa: FBT001
    """All groups that name an agent count for it as one, and those for any agent only if none does (section 2.2.1)."""
    assert allows(text, "/a", agent) is not forbidden


def test_what_is_not_utf8_harms_no_other_line() -> None:
    """Bytes that cannot be decoded spoil their own line only."""
    found = read(200, b"\xff\xfe\x00\nUser-agent: *\nDisallow: /\xe9\nDisallow: /b", now=0.0)
    assert not found.allows(f"{HERE}/b", "ExampleBot")


@pytest.mark.parametrize("ending", ["\n", "\r"])
def test_only_the_first_500_kib_count(ending: str) -> None:
    """What comes later is not read, and neither is a line that was cut: it would forbid more, or allow more."""
    head = f"User-agent: *{ending}Disallow: /first{ending}"
    cut = f"{ending}Disallow: /c"
    text = head + "#" * (MOST_BYTES - len(head) - len(cut)) + cut
    assert len(text) == MOST_BYTES == 512_000
    for body in (text, f"{text}ut{ending}Disallow: /last"):
        found = rules(body)
        assert found.size == MOST_BYTES
        assert not found.allows(f"{HERE}/first", "ExampleBot")
        assert found.allows(f"{HERE}/c", "ExampleBot")
        assert found.allows(f"{HERE}/last", "ExampleBot")
    assert not rules(text.replace("##", "#", 1)).allows(f"{HERE}/c", "ExampleBot")


@pytest.mark.parametrize(
    ("records", "seconds"),
    [
        ("Crawl-delay: 5", 5.0),
        ("Crawl-delay: 5 # or so", 5.0),
        ("crawl-delay:0.5", 0.5),
        ("Crawl-delay: .5", 0.5),
        ("Crawl-delay: 86400", 300.0),
        ("Crawl-delay: 999999999", 300.0),
        ("Crawl-delay: 0", None),
        ("Crawl-delay: -1", None),
        ("Crawl-delay: nan", None),
        ("Crawl-delay: inf", None),
        ("Crawl-delay: 1e9", None),
        ("Crawl-delay: 1_0", None),
        ("Crawl-delay: +5", None),
        ("Crawl-delay: \uff15", None),
        (f"Crawl-delay: {'9' * 5000}", None),
        ("Crawl-delay: 5 s", None),
        ("Crawl-delay:", None),
        ("Disallow: /b", None),
        ("Crawl-delay: 5\nCrawl-delay: soon", 5.0),
        ("Request-rate: 1/10", 10.0),
        ("Request-rate: 2/1m", 30.0),
        ("Request-rate: 1/5s 0900-1700", 5.0),
        ("Request-rate: 1/9d", 300.0),
        ("Request-rate: 0/10", None),
        ("Request-rate: 1/0", None),
        ("Request-rate: 1/-5", None),
        ("Request-rate: \uff11/5", None),
        (f"Request-rate: 1/{'9' * 5000}", None),
        ("Request-rate: often", None),
        ("Request-rate: 1/10\nCrawl-delay: 2", 10.0),
        ("Request-rate: 1/2\nCrawl-delay: 10", 10.0),
    ],
)
def test_crawl_delay(records: str, seconds: float | None) -> None:
    """The slower of both counts, up to five minutes; what is no plain number is passed over."""
    found = rules(f"User-agent: *\n{records}\n\nUser-agent: other\nCrawl-delay: 77")
    assert found.crawl_delay("ExampleBot") == seconds


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    ("text", "delays"),
    [
        ("User-agent: a\nCrawl-delay: 5\nUser-agent: b\nDisallow: /", {"a": 5, "b": 5, "c": None}),
        ("User-agent: a\nUser-agent: b\nCrawl-delay: 5", {"a": 5, "b": 5, "c": None}),
        ("User-agent: a\n\nUser-agent: b\nCrawl-delay: 5", {"a": 5, "b": 5, "c": None}),
        ("User-agent: a\nCrawl-delay: 5\n\nUser-agent: *\nDisallow: /x", {"a": 5, "b": None}),
        ("User-agent: a\nCrawl-delay: 5\n# and\n \t\nUser-agent: *\nDisallow: /x", {"a": 5, "b": None}),
        ("User-agent: a\nCrawl-delay: 5 # s\n# and\nUser-agent: *\nDisallow: /x", {"a": 5, "b": 5}),
        ("User-agent: a\nCrawl-delay: 5\nSitemap: /s\n\nUser-agent: *\nDisallow: /x", {"a": 5, "b": None}),
        ("User-agent: a\nCrawl-delay: 5\n\nUser-agent: b\nCrawl-delay: 9\n\nUser-agent: *\nAllow: /", {"a": 5, "b": 9}),
        ("User-agent: a\nCrawl-delay: 5\nUser-agent: b\nCrawl-delay: 9\nUser-agent: *\nAllow: /", {"a": 9, "c": 9}),
        ("User-agent: a\nCrawl-delay: 9\nCrawl-delay: 5\nRequest-rate: 1/7", {"a": 9}),
        ("User-agent: a\nCrawl-delay: 5\n\nUser-agent: a\nCrawl-delay: 2\n\nUser-agent: a\nAllow: /", {"a": 5}),
        ("User-agent: a\nDisallow: /x\nCrawl-delay: 5\n\nUser-agent: b\nDisallow: /", {"a": 5, "b": None}),
        ("User-agent: a\nCrawl-delay: soon\n\nUser-agent: b\nCrawl-delay: 5", {"a": None, "b": 5}),
        ("User-agent: a\nCrawl-delay: 5\nUser-agent: b\n\nUser-agent: c\nDisallow: /", {"a": 5, "b": 5, "c": None}),
        ("Crawl-delay: 5\nUser-agent: a\nDisallow: /", {"a": None}),
    ],
)
def test_whom_a_delay_is_for(text: str, delays: dict[str, float | None], ending: str) -> None:
    """For the names of its part of the group: a blank line between it and the next name begins another part."""
    found = rules(text.replace("\n", ending))
    assert {agent: found.crawl_delay(agent) for agent in delays} == delays


OTHERS = st.lists(
    st.sampled_from(["Crawl-delay: 5", "Crawl-delay: x", "Request-rate: 1/5", "Sitemap: /s", "Host: x", "?", ""]),
    max_size=2,
)
NAMES = st.sampled_from(["a", "b", "*"]).map("User-agent: {}".format)
RULES = st.sampled_from(["Allow: /1", "Disallow: /1", "Disallow: /2", "Disallow:", "Allow:"])
LINES = st.tuples(st.one_of(NAMES, RULES), OTHERS).map(lambda each: [each[0], *each[1]])
"""What the standard knows, with what it does not know below it."""


def as_standard_has_it(lines: list[str], agent: str) -> set[str]:
    """Return the places that are forbidden: by RFC 9309, read line by line as Google's parser does."""
    named: dict[str, dict[str, bool]] = {}
    names: set[str] = set()
    closed = False
    for line in lines:
        field, _, value = line.partition(": ")
        if field == "User-agent":
            names = {value} if closed else names | {value}
            closed = False
            named.setdefault(value, {})
        elif field.rstrip(":") in {"Allow", "Disallow"}:
            closed = True
            for name in names if value else ():
                named[name][value] = named[name].get(value, False) or field == "Allow"
    held = named.get(agent, named.get("*", {}))
    return {place for place, allowed in held.items() if not allowed}


@settings(max_examples=300)
@given(st.lists(LINES, min_size=3, max_size=8), st.sampled_from(["a", "b", "c"]))
def test_only_rules_end_the_names_of_a_group(parts: list[list[str]], agent: str) -> None:
    """Whatever else stands between names, and between names and rules (section 2.2.4)."""
    lines = [line for part in parts for line in part]
    found = rules("\n".join(lines))
    forbidden = {place for place in ("/1", "/2") if not found.allows(HERE + place, agent)}
    assert forbidden == as_standard_has_it(lines, agent)


BROKEN_URLS = [
    "",
    "/",
    "http://[",
    "\udc80",
    "https://x.test/\udc80",
    "https://x.test:port/%zz%",
    "\0",
    "https://[::1]x/",
]


@pytest.mark.parametrize("url", BROKEN_URLS)
def test_a_url_that_cannot_be_judged_raises_nothing(url: str) -> None:
    """Malformed URLs are somebody else's to refuse; where anything is forbidden, they are never allowed for it."""
    assert not read(None, b"", now=0.0).allows(url, "ExampleBot")
    assert not rules("User-agent: *\nDisallow: /").allows(url, "ExampleBot")


RECORDS = st.builds(
    "{}{}{}".format,
    st.sampled_from(["User-agent", "Allow", "Disallow", "Crawl-delay", "Request-rate", "Sitemap", "Visit-time", "x"]),
    st.sampled_from([":", " ", " : ", ""]),
    st.one_of(st.text(max_size=20), st.text("/*$ab%2F.?#0", max_size=20), st.sampled_from(["*", "bot", "/", "1/2"])),
)
FILES = st.one_of(
    st.binary(max_size=200),
    st.lists(RECORDS, max_size=20).map(lambda lines: "\n".join(lines).encode("utf-8", "surrogatepass")),
)
URLS = st.one_of(st.text(max_size=20), st.text("/ab*$%2F.?#", max_size=20).map(HERE.__add__))


@given(st.none() | st.integers(0, 999), FILES, URLS, st.text(max_size=10) | st.sampled_from(["bot", "x", "*"]))
def test_nothing_raises(status: int | None, body: bytes, url: str, agent: str) -> None:
    """Whatever a file has in it, there is an answer, and the same one each time."""
    found = read(status, body, now=1.0)
    assert found.until in (61.0, 1.0 + DAY)
    allowed, delay = found.allows(url, agent), found.crawl_delay(agent)
    assert delay is None or 0 < delay <= 300
    assert (found.allows(url, agent), found.crawl_delay(agent)) == (allowed, delay)


@given(
    st.sampled_from("\v\f\x1c\x1d\x1e\x85\u2028\u2029")
    | st.characters(exclude_characters="\r\n#", exclude_categories=["Cs"])
)
def test_only_line_breaks_are_line_breaks(character: str) -> None:
    """Whatever stands in the value of a rule, nothing behind it is a rule of its own (section 2.2)."""
    assert allows(f"User-agent: *\nAllow: /b{character}Disallow: /", "/a")
    assert not allows(f"User-agent: *\nDisallow: /b{character}User-agent: c\nDisallow: /", "/a")


@given(FILES)
def test_what_is_for_others_says_nothing(body: bytes) -> None:
    """A file that names other agents only has no say for ours."""
    text = read(200, body, now=0.0)
    named = set().union(*(group.agents for group in text._groups))
    if not named & {"*", "examplebot"}:
        assert text.allows(f"{HERE}/a", "ExampleBot")
        assert text.crawl_delay("ExampleBot") is None


def test_agents_times_rules_is_no_work() -> None:
    """Twenty thousand agents above twenty thousand rules are read as twenty thousand rules, once one asks."""
    agents = "".join(f"User-agent:{n}\n" for n in range(20_000))
    found = rules(agents + "".join(f"Disallow:/{n}\n" for n in range(15_000)))
    began = time.process_time()
    assert not found.allows(f"{HERE}/14999", "5")
    assert found.allows(f"{HERE}/x", "6")
    assert time.process_time() - began < 20  # would be minutes, and gigabytes


def test_too_many_rules_forbid_all() -> None:
    """Twenty thousand rules for one agent are read, and more are not; the same ones again count once."""
    lines = [f"Allow:/{n}" for n in range(20_000)]
    assert allows("\n".join(["User-agent: *", *lines, *lines[:1000]]), "/a")
    assert not allows("\n".join(["User-agent: *", *lines, "Allow: /one/more"]), "/a")
    assert allows("\n".join(["User-agent: other", *lines, "Allow: /one/more"]), "/a")


def test_a_url_that_takes_too_much_work_is_forbidden() -> None:
    """What is matched is bounded by the URL's length times the rules' with wildcards; plain ones are free."""
    rule = f"Disallow: /*{'a' * 1000}b"
    found = rules("User-agent: *\n" + "".join(f"{rule}{n}\n" for n in range(100)))
    work = sum(len(f"{rule}{n}") for n in range(100))
    short = HERE + "/" + "a" * (2**25 // work - len(HERE) - 1)
    assert found.allows(short, "ExampleBot")
    assert not found.allows(f"{short}a", "ExampleBot")
    assert rules(f"User-agent: *\n{rule}".replace("*", "", 2)).allows(HERE + "/" + "a" * 100_000, "ExampleBot")


@pytest.mark.parametrize(
    "text",
    [
        "User-agent: *\nDisallow: " + "*a" * 250_000 + "b",
        "User-agent: *\n" + "Disallow: /" + "*" * 500_000,
        "User-agent: *\n" + "".join(f"Disallow: /*b{'a' * 30}{n}\n" for n in range(12_000)),
        "allow" + " " * 500_000,
        (" " * 2000 + "x\n") * 250,
        "user agent:" * 40_000,
        "\r\n" * 250_000,
        "%" * 500_000,
        "User-agent: *\nCrawl-delay: 1\n" * 16_000,
        "User-agent: *\nCrawl-delay: 1\n\n" * 16_000,
        "Crawl-delay: 1\nUser-agent: *\nCrawl-delay: 1" + "\nUser-agent: a" * 35_000,
        "User-agent: *\nCrawl-delay: 1" + "\n " * 240_000 + "\nUser-agent: a",
    ],
    ids=[
        "parts",
        "stars",
        "many",
        "spaces",
        "indents",
        "names",
        "breaks",
        "escapes",
        "delays",
        "parts of a group",
        "names below a delay",
        "blanks",
    ],
)
def test_no_file_takes_long(text: str) -> None:
    """Half a megabyte of anything is read, and a URL judged, in a time that a machine of any age can keep."""
    began = time.process_time()
    found = rules(text)
    for path in ("/a", "/" + "a" * 2000, "/" + "a" * 60_000):
        assert found.allows(HERE + path, "ExampleBot") in (True, False)
    assert time.process_time() - began < 10


def test_what_protego_cannot_read_forbids_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception of the library, in a file or in a URL, forbids and goes no further."""

    class Broken:
        @staticmethod
        def parse(_: str) -> None:
            raise RecursionError

    monkeypatch.setattr(robots, "Protego", Broken)
    found = rules("User-agent: *\nAllow: /")
    assert not found.allows(f"{HERE}/a", "ExampleBot")
    assert found.crawl_delay("ExampleBot") is None


def test_agents_that_ask_are_not_all_remembered() -> None:
    """Asking under a thousand names takes no more memory than under a few."""
    found = rules("User-agent: *\nDisallow: /a")
    assert not any(found.allows(f"{HERE}/a", f"bot{n}") for n in range(1000))
    assert len(found._parts) <= 8


def test_repr_counts() -> None:
    """It shows how much there is, and nothing of it."""
    assert repr(rules("User-agent: *\nDisallow: /secret")) == "<Rules 1 groups, 31 bytes>"

"""The cookies of one platform: whose they are, how many there may be, where and for how long they are sent."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from scrapeengine.http.features import cookies
from scrapeengine.http.features.cookies import Jar, date_of, is_suffix

DAY = 86400.0
NOW = 1_700_000_000.0
SUFFIXES = frozenset({"test", "co.test", "github.test", "com", "localhost"})


def place(url: str = "https://www.x.test/", wall: float = NOW) -> dict[str, Any]:
    """Return where a request goes."""
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return {"scheme": scheme, "host": host, "path": slash + path or "/", "wall": wall}


def jar() -> Jar:
    """Make a jar with a short list of suffixes."""
    return Jar(SUFFIXES.__contains__)


def sent(
    text: str | list[str], at: str = "https://www.x.test/", to: str | None = None, after: float = 0.0
) -> str | None:
    """Have cookies set by one request, and return what another one sends; all in UTF-8."""
    one = jar()
    texts = [text] if isinstance(text, str) else text
    one.take([each.encode("utf-8", "surrogateescape").decode("latin-1") for each in texts], **place(at))
    header = one.header(**place(at if to is None else to, NOW + after))
    return None if header is None else header.encode("latin-1").decode("utf-8", "surrogateescape")


# -- what is a cookie


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("a=b", "a=b"),
        ("a=", "a="),
        (" a = b ; Path=/", "a=b"),
        ("\ta\t=\tb\t;\tPath=/", "a=b"),
        ('a="b c"', 'a="b c"'),
        ("a=b=c", "a=b=c"),
        ("a=b,c=d", "a=b,c=d"),
        ("a=ä€", "a=ä€"),
        ("ключ=ключ", "ключ=ключ"),
        ("a=\x85\u2028", "a=\x85\u2028"),
        ("a=\udcff", "a=\udcff"),  # a byte that is no UTF-8
        ("\udc80=\udcfe; Path=/", "\udc80=\udcfe"),
        ("a=b; HttpOnly; SameSite=Strict; Foo=bar; ;=;;", "a=b"),
        ("a=b; Secure=whatever", "a=b"),
    ],
)
def test_what_is_set_is_sent(text: str, pair: str) -> None:
    """Name and value go back as they came, without the blanks around them and without the attributes."""
    assert sent(text) == pair


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "=b",
        "=",
        ";",
        " =b",
        "; a=b",
        "a=b\0",
        "a=\nb",
        "a\r=b",
        "a=b\x7f",
        "a=b\x01",
        "a=b\tc",
        "a\tb=c",
        "a=b; Path=/\n",
    ],
)
def test_what_is_no_cookie(text: str) -> None:
    """Without a name, or with control characters, it is refused; what stands beside it is not."""
    assert sent([text, "good=1"]) == "good=1"


def test_4_kib_each() -> None:
    """Name, value and attributes together may have 4,096 bytes."""
    assert sent("a=" + "b" * 4094) is not None
    assert sent("a=" + "b" * 4095) is None
    assert sent("a=" + "ä" * 2047) is not None
    assert sent("a=" + "ä" * 2048) is None
    assert sent("a=b; Path=/;" + "c" * 4085) is None


# -- whose it is


@pytest.mark.parametrize(
    ("domain", "at", "to", "goes"),
    [
        (None, "www.x.test", "www.x.test", True),
        (None, "www.x.test", "WWW.X.TEST", True),
        (None, "www.x.test", "x.test", False),
        (None, "x.test", "www.x.test", False),
        ("", "x.test", "www.x.test", False),
        (".", "x.test", "www.x.test", False),
        ("x.test", "www.x.test", "x.test", True),
        ("x.test", "www.x.test", "a.b.x.test", True),
        (".x.test", "www.x.test", "x.test", True),
        ("X.Test", "www.x.test", "x.test", True),
        ("x.test", "x.test", "www.x.test", True),
        ("x.test", "www.x.test", "yx.test", False),
        ("www.x.test", "x.test", "www.x.test", False),
        ("x.test", "yx.test", "x.test", False),
        ("y.test", "x.test", "y.test", False),
        ("..x.test", "www.x.test", "www.x.test", False),
        ("x.test.", "www.x.test", "www.x.test", False),
        ("ẍ.test", "www.x.test", "www.x.test", False),
        ("test", "x.test", "x.test", False),
        ("co.test", "x.co.test", "x.co.test", False),
        ("co.test", "co.test", "co.test", True),
        ("co.test", "co.test", "x.co.test", False),
        ("github.test", "a.github.test", "b.github.test", False),
        ("a.github.test", "a.github.test", "b.a.github.test", True),
        ("localhost", "localhost", "localhost", True),
        ("localhost", "a.localhost", "a.localhost", False),
        (None, "127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "127.0.0.1", "127.0.0.1", True),
        ("0.0.1", "127.0.0.1", "127.0.0.1", False),
        ("1", "127.0.0.1", "127.0.0.1", False),
        ("127.0.0.1", "127.0.0.1", "a.127.0.0.1", False),
        ("0.0x1", "127.0.0x1", "127.0.0x1", False),
        ("fe80::a", "fe80::a", "a.fe80::a", False),
        (None, "::1", "[::1]", True),
        ("[::1]", "[::1]", "::1", False),
        (None, "x.test", "x.test.", True),
    ],
)
def test_domains(domain: str | None, at: str, to: str, goes: bool) -> None:  # noqa: FBT001
    """A site sets cookies for its host, or for a domain that it is in and that is nobody's but its owner's."""
    text = "a=b" if domain is None else f"a=b; Domain={domain}"
    assert (sent(text, f"https://{at}/", f"https://{to}/") is not None) is goes


def test_the_last_attribute_of_a_name_stands() -> None:
    """A `Domain` that is taken back leaves the host's own cookie; one too long to be meant is ignored."""
    assert sent("a=b; Domain=y.test; Domain=x.test", to="https://x.test/") == "a=b"
    assert sent("a=b; Domain=x.test; Domain=", to="https://x.test/") is None
    assert sent(f"a=b; Domain=x.test; Domain={'y' * 1025}", to="https://x.test/") == "a=b"


@pytest.mark.skipif(cookies.publicsuffixlist is None, reason="needs the extra `cookies`")
@pytest.mark.parametrize(
    ("domain", "public"),
    [
        ("com", True),
        ("co.uk", True),
        ("example.co.uk", False),
        ("github.io", True),
        ("a.github.io", False),
        ("kawasaki.jp", True),
        ("a.kawasaki.jp", True),
        ("city.kawasaki.jp", False),
        ("xn--p1ai", True),
        ("unheard-of", True),
        ("localhost", True),
    ],
)
def test_the_list(domain: str, public: bool) -> None:  # noqa: FBT001
    """The list as it is published, those suffixes in it that are private included."""
    assert is_suffix(domain) is public


@pytest.fixture
def _no_list(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(cookies, "publicsuffixlist", None)
    cookies._list.cache_clear()
    yield
    cookies._list.cache_clear()


@pytest.mark.usefixtures("_no_list")
def test_without_the_list_cookies_are_for_one_host() -> None:
    """Any wider `Domain` may be a public suffix, so it is refused; a host's own cookies are kept."""
    one = Jar()
    one.take(["a=1", "b=2; Domain=www.x.test", "c=3; Domain=x.test", "d=4; Domain=test"], **place())
    assert one.header(**place()) == "a=1; b=2"
    assert one.header(**place("https://a.www.x.test/")) is None


# -- over https


@pytest.mark.parametrize(
    ("text", "at", "to", "goes"),
    [
        ("a=b; Secure", "https", "https", True),
        ("a=b; secure", "https", "http", False),
        ("a=b; Secure", "http", "http", False),
        ("a=b; Secure", "http", "https", False),
        ("a=b", "https", "http", True),
        ("a=b", "http", "https", True),
        ("__Secure-a=b; Secure", "https", "https", True),
        ("__Secure-a=b", "https", "https", False),
        ("__secure-a=b", "https", "https", False),
        ("__Secure-a=b; Secure", "http", "https", False),
        ("__Secure-a=b; Secure; Domain=x.test", "https", "https", True),
        ("__Host-a=b; Secure; Path=/", "https", "https", True),
        ("__Host-a=b; Path=/", "https", "https", False),
        ("__Host-a=b; Secure", "https", "https", False),
        ("__HOST-a=b; Secure; Path=/c", "https", "https", False),
        ("__Host-a=b; Secure; Path=/; Domain=www.x.test", "https", "https", False),
        ("__Hosta=b", "https", "https", True),
    ],
)
def test_secure(text: str, at: str, to: str, goes: bool) -> None:  # noqa: FBT001
    """What is `Secure` comes and goes over https only, and a name that promises something keeps it."""
    assert (sent(text, f"{at}://www.x.test/", f"{to}://www.x.test/") is not None) is goes


@pytest.mark.parametrize(
    ("old", "new", "stays"),
    [
        ("a=safe; Secure", "a=evil", True),
        ("a=safe; Secure; Domain=x.test", "a=evil", True),
        ("a=safe; Secure", "a=evil; Domain=x.test", True),
        ("a=safe; Secure; Path=/p", "a=evil; Path=/p/q", True),
        ("a=safe; Secure; Path=/p", "a=evil; Path=/", False),
        ("a=safe; Secure", "a=; Max-Age=0", True),
        ("a=safe", "a=evil", False),
        ("b=safe; Secure", "a=evil", False),
    ],
)
def test_what_came_over_https_is_not_hidden_over_http(old: str, new: str, stays: bool) -> None:  # noqa: FBT001
    """Whoever sits on the wire cannot put a cookie of his own before a secure one, or take that away."""
    one = jar()
    one.take([old], **place())
    one.take([new], **place("http://www.x.test/"))
    header = one.header(**place("https://www.x.test/p/q")) or ""
    assert ("evil" in header) is not stays
    assert ("safe" in header) is (stays or new.startswith("a=evil; Path=/") or old.startswith("b="))


# -- paths


@pytest.mark.parametrize(
    ("path", "at", "to", "goes"),
    [
        (None, "/", "/a/b", True),
        (None, "/a", "/b", True),
        (None, "/a/b", "/a/c", True),
        (None, "/a/b", "/a", True),
        (None, "/a/b", "/ab", False),
        (None, "/a/b/", "/a/b/c", True),
        (None, "/a/b/", "/a/c", False),
        ("/a", "/", "/a", True),
        ("/a", "/", "/a/b", True),
        ("/a", "/", "/ab", False),
        ("/a/", "/", "/a/b", True),
        ("/a/", "/", "/a", False),
        ("/c", "/a/b", "/c", True),
        ("", "/a/b", "/a", True),
        ("a", "/a/b", "/c", False),
        ("/" + "a" * 1024, "/", "/b", True),
        (None, "/" + "a" * 1025 + "/b", "/" + "a" * 1025 + "/b", False),
    ],
)
def test_paths(path: str | None, at: str, to: str, goes: bool) -> None:  # noqa: FBT001
    """A cookie goes to its path and below, by default to where it came from (RFC 6265, section 5.1.4)."""
    text = "a=b" if path is None else f"a=b; Path={path}"
    assert (sent(text, f"https://x.test{at}", f"https://x.test{to}") is not None) is goes


def test_a_target_that_is_no_path_is_all_of_the_host() -> None:
    """A cookie that came with it is for every path."""
    one = jar()
    one.take(["a=b"], **place() | {"path": "a/b/c"})
    assert one.header(**place()) == "a=b"


def test_the_longest_path_comes_first_then_the_oldest() -> None:
    """The order of RFC 6265, section 5.4; set again, a cookie keeps its age; under another path it is another."""
    one = jar()
    one.take(["a=1; Path=/", "b=2; Path=/p", "c=3; Path=/", "d=4; Path=/p"], **place())
    one.take(["a=5; Path=/", "a=6; Path=/p"], **place())
    assert one.header(**place("https://www.x.test/p")) == "b=2; d=4; a=6; a=5; c=3"


def test_what_has_expired_is_as_if_it_had_never_been() -> None:
    """A new cookie inherits no age from one that has expired, and one that came in the clear hides nothing then."""
    one = jar()
    one.take(["a=1; Max-Age=10; Secure", "b=2"], **place())
    one.take(["a=3"], **place("http://www.x.test/", NOW + 10))
    assert one.header(**place(wall=NOW + 10)) == "b=2; a=3"


# -- how long


@pytest.mark.parametrize(
    ("attributes", "seconds"),
    [
        ("", None),
        ("Max-Age=10", 10),
        ("Max-Age=010", 10),
        ("Max-Age=0", 0),
        ("Max-Age=-1", 0),
        ("Max-Age=+1", None),
        ("Max-Age=1.5", None),
        ("Max-Age=\uff11", None),
        ("Max-Age=", None),
        (f"Max-Age={'9' * 1000}", 400 * DAY),
        (f"Max-Age=-{'9' * 1000}", 0),
        ("Expires=Tue, 14 Nov 2023 22:13:30 GMT", 10),
        ("Expires=Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Expires=Fri, 31 Dec 9999 23:59:59 GMT", 400 * DAY),
        ("Expires=soon", None),
        ("Expires=0", None),
        ("Max-Age=10; Expires=Thu, 01 Jan 1970 00:00:00 GMT", 10),
        ("Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=10", 10),
        ("Max-Age=x; Expires=Tue, 14 Nov 2023 22:13:30 GMT", 10),
    ],
)
def test_lifetimes(attributes: str, seconds: float | None) -> None:
    """`Max-Age` before `Expires`, neither beyond 400 days, and what is malformed counts for nothing."""
    text = f"a=b; {attributes}"
    if seconds is None:
        assert sent(text, after=1000 * DAY) == "a=b"
        return
    assert sent(text, after=seconds) is None
    if seconds:
        assert sent(text, after=seconds - 0.001) == "a=b"


def test_a_cookie_is_taken_back() -> None:
    """One that has expired as it comes removes the one that it would replace, and that one only."""
    one = jar()
    one.take(["a=1", "b=2", "a=3; Domain=x.test"], **place())
    one.take(["a=; Max-Age=0", "c=; Max-Age=0"], **place())
    assert repr(one) == "<Jar 2 cookies of 2 domains>"
    assert one.header(**place()) == "b=2; a=3"
    one.take(["b=; Max-Age=0", "a=; Max-Age=0; Domain=x.test"], **place())
    assert repr(one) == "<Jar 0 cookies of 0 domains>"


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("Sun, 06 Nov 1994 08:49:37 GMT", 784111777.0),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 784111777.0),
        ("Sun Nov  6 08:49:37 1994", 784111777.0),
        ("1994 November 6 8:49:37", 784111777.0),
        ("06 NOV 1994 08:49:37 +0900", 784111777.0),
        ("6th november 1994 08:49:37x", 784111777.0),
        ("1 Jan 70 0:0:0", 0.0),
        ("1 Jan 1969 0:0:0", -31536000.0),
        ("1 Jan 69 0:0:0", 3124224000.0),
        ("1 Jan 99 0:0:0", 915148800.0),
        ("29 Feb 2024 0:0:0", 1709164800.0),
        ("29 Feb 2023 0:0:0", None),
        ("31 Apr 2023 0:0:0", None),
        ("0 Jan 2023 0:0:0", None),
        ("1 Jan 1600 0:0:0", None),
        ("1 Jan 1601 0:0:0", -11644473600.0),
        ("1 Jan 0 0:0:0", None),
        ("1 Jan 12023 0:0:0", None),
        ("1 Jan 2023 24:0:0", None),
        ("1 Jan 2023 0:60:0", None),
        ("1 Jan 2023 0:0:60", None),
        ("1 Jan 2023 0:0", None),
        ("1 Jan 2023", None),
        ("1 Foo 2023 0:0:0", None),
        ("Jan 2023 0:0:0", None),
        ("", None),
    ],
)
def test_dates(text: str, moment: float | None) -> None:
    """The lenient reading of RFC 6265, section 5.1.1."""
    assert date_of(text) == moment


@given(st.text() | st.text("0123456789: -,JanFebuGMT"))
def test_no_date_raises(text: str) -> None:
    """Whatever is written there is a date or none."""
    moment = date_of(text)
    assert moment is None or -12e9 < moment < 254e9


# -- how many


def test_50_for_a_domain() -> None:
    """The expired go first, then those that were neither set nor sent for longest."""
    one = jar()
    one.take([f"n{n}=v; Path=/{n}; Max-Age={10 if n == 30 else 1000}" for n in range(50)], **place())
    for n in (0, 1):
        assert one.header(**place(f"https://www.x.test/{n}")) == f"n{n}=v"
    later = NOW + 20
    one.take(["m0=v", "m1=v", "m2=v"], **place(wall=later))
    there = [n for n in range(50) if one.header(**place(f"https://www.x.test/{n}", later)) != "m0=v; m1=v; m2=v"]
    assert there == [n for n in range(50) if n not in (30, 2, 3)]
    assert repr(one) == "<Jar 50 cookies of 1 domains>"


def test_a_full_domain_harms_no_other() -> None:
    """A host that sets thousands loses its own cookies only, and of one answer the first 50 are looked at."""
    one = jar()
    one.take(["a=1"], **place("https://a.x.test/"))
    for begin in range(0, 5000, 50):
        one.take([f"n{n}=v" for n in range(begin, begin + 50)], **place("https://b.x.test/"))
    one.take([*["nothing"] * 49, "good=1", "late=1"], **place("https://b.x.test/"))
    header = one.header(**place("https://b.x.test/")) or ""
    assert "good=1" in header
    assert "late=1" not in header
    assert one.header(**place("https://a.x.test/")) == "a=1"
    assert repr(one) == "<Jar 51 cookies of 2 domains>"


def test_1000_in_all() -> None:
    """Among all domains too, the expired go first, then those that were neither set nor sent for longest."""
    one = jar()
    for host in range(20):
        one.take(
            [f"n{n}=v; Max-Age={10 if host == 7 and n == 3 else 1000}" for n in range(50)],
            **place(f"https://h{host}.test/"),
        )
    assert repr(one) == "<Jar 1000 cookies of 20 domains>"
    assert one.header(**place("https://h0.test/")) is not None
    later = NOW + 20
    one.take(["a=b", "c=d"], **place("https://new.test/", later))
    assert repr(one) == "<Jar 1000 cookies of 21 domains>"
    counts = [(one.header(**place(f"https://h{host}.test/", later)) or "").count("=") for host in range(20)]
    assert counts == [50, 49, 50, 50, 50, 50, 50, 49, *[50] * 12]


def test_8_kib_of_header() -> None:
    """What does not fit is left out, and what is smaller and comes later still goes."""
    one = jar()
    one.take(["a=" + "x" * 4000, "b=" + "x" * 4000, "c=" + "x" * 1000, "d=y"], **place())
    header = one.header(**place()) or ""
    assert [pair[0] for pair in header.split("; ")] == ["a", "b", "d"]
    exact = jar()
    exact.take(["a=" + "x" * 4000, "b=" + "\xe4" * 4000, "c=" + "x" * 182], **place())
    assert len((exact.header(**place()) or "").encode("latin-1")) == 8192
    exact.take(["c=" + "x" * 183], **place())
    assert len((exact.header(**place()) or "").encode("latin-1")) == 8004 + 2


# -- whatever comes


PIECES = st.sampled_from(
    [
        "a",
        "b",
        "=",
        "; ",
        ";",
        "Domain=",
        "x.test",
        ".test",
        "Path=",
        "/",
        "/p",
        "Max-Age=",
        "9",
        "-",
        "Expires=",
        "Secure",
        "__Host-",
        "__Secure-",
        "\0",
        "ä",
        "\udc80",
        "x" * 3000,
        "06 Nov 1994 08:49:37",
        " ",
    ]
)
COOKIES = st.one_of(
    st.text(), st.lists(PIECES, max_size=12).map("".join), st.binary().map(lambda data: data.decode("latin-1"))
)
PLACES = st.builds(
    "{}://{}{}".format,
    st.sampled_from(["https", "http"]),
    st.sampled_from(
        ["x.test", "www.x.test", "a.www.x.test", "y.test", "co.test", "test", "127.0.0.1", "::1", "", ".", "a..test"]
    ),
    st.sampled_from(["", "/", "/p", "/p/q", "//", "/" + "q" * 2000]),
)


class AnyJar(RuleBasedStateMachine):
    """A jar that gets anything from anywhere, and its bounds."""

    def __init__(self) -> None:
        super().__init__()
        self.jar = jar()
        self.wall = NOW

    @rule(texts=st.lists(COOKIES, max_size=5), at=PLACES)
    def take(self, texts: list[str], at: str) -> None:
        """Set what a site sends."""
        self.jar.take(texts, **place(at, self.wall))

    @rule(
        at=PLACES,
        first=st.integers(0, 10_000),
        count=st.integers(1, 120),
        domain=st.sampled_from(["", "; Domain=x.test"]),
    )
    def fill(self, at: str, first: int, count: int, domain: str) -> None:
        """Set very many."""
        self.jar.take([f"n{n}={'v' * (n % 2000)}{domain}" for n in range(first, first + count)], **place(at, self.wall))

    @rule(at=PLACES)
    def send(self, at: str) -> None:
        """Ask for the header of a request: it can be sent as it is, and is bounded."""
        header = self.jar.header(**place(at, self.wall))
        if header is not None:
            assert 0 < len(header.encode()) <= 8192
            assert not any(character in header for character in "\0\r\n\t\x7f")
            assert all("=" in pair for pair in header.split("; ") if pair)

    @rule(seconds=st.floats(0, 1e8))
    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.wall += seconds

    @invariant()
    def is_bounded(self) -> None:
        """Never more than 50 of a domain, 1,000 in all and 4 KiB each; and the counts are right."""
        domains = self.jar._domains
        assert all(0 < len(each) <= 50 for each in domains.values())
        assert self.jar._count == sum(map(len, domains.values())) <= 1000
        for domain, each in domains.items():
            for key, cookie in each.items():
                assert (cookie.domain, cookie.key) == (domain, key)
                assert len(f"{cookie.name}={cookie.value}".encode()) <= 4096
                assert cookie.path.startswith("/")


TestAnyJar = AnyJar.TestCase


@given(COOKIES, PLACES, PLACES)
def test_no_site_reaches_another(text: str, at: str, to: str) -> None:
    """What one site sets, another one neither gets nor loses: not the next host, not one below the same suffix."""
    one, two = place(at), place(to)
    hosts = sorted([one["host"], two["host"]], key=len)
    if hosts[0] == hosts[1] or {"x.test", "www.x.test", "a.www.x.test"} >= set(hosts) or not all(hosts) or "." in hosts:
        return
    kept = jar()
    kept.take(["own=1; Path=/"], **two)
    before = kept.header(**two)
    kept.take([text], **one)
    assert kept.header(**two) == before


def test_nothing_of_it_is_shown() -> None:
    """Neither a jar nor a cookie shows a name or a value."""
    one = jar()
    one.take(["session=secret"], **place())
    assert repr(one) == "<Jar 1 cookies of 1 domains>"
    (cookie,) = one._all()
    assert "secret" not in repr(cookie)
    assert "session" not in repr(cookie)

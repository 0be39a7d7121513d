"""Conditional requests: what is sent of a validator, what is taken from an answer, what is kept."""

from __future__ import annotations

from collections.abc import Mapping

import httpx
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from scrapeengine.http.features.validators import MemoryValidators, asked, fits, fresh_for, offered
from scrapeengine.model.validators import Validator, Validators

DATE = "Sun, 06 Nov 1994 08:49:37 GMT"


@pytest.mark.parametrize("field", ["etag", "last_modified"])
@pytest.mark.parametrize("text", ["", '"a\r\nb"', '"a\0"', '"\t"', '"\x7f"', '"\udc80"', "x" * 1025, "ä" * 513])
def test_what_cannot_be_sent_is_no_validator(field: str, text: str) -> None:
    """Control characters, nothing, and more than 1 KiB are refused, and the message says what to write instead."""
    with pytest.raises(ValueError, match="write None"):
        Validator(**{field: text})


@pytest.mark.parametrize("field", ["etag", "last_modified"])
def test_what_is_no_text_is_no_validator(field: str) -> None:
    """Bytes are refused by name."""
    with pytest.raises(TypeError, match=f"{field}=….*must be a str"):
        Validator(**{field: b'"a"'})


def test_a_validator_tells_something() -> None:
    """One of the two texts has to be there."""
    with pytest.raises(ValueError, match="keep none"):
        Validator()
    assert Validator("x" * 1024).last_modified is None


@pytest.mark.parametrize(
    ("validator", "headers"),
    [
        (Validator('"a"'), {"If-None-Match": '"a"'}),
        (Validator(last_modified=DATE), {"If-Modified-Since": DATE}),
        (Validator('W/"a"', DATE), {"If-None-Match": 'W/"a"', "If-Modified-Since": DATE}),
    ],
)
def test_asked(validator: Validator, headers: dict[str, str]) -> None:
    """All that a site gave is sent back as it was."""
    assert asked(validator) == headers


@pytest.mark.parametrize(
    "etag",
    [
        *('"a"', '""', 'W/"a"', '"W/\'!#~"', '"ä€"', '"' + "x" * 1022 + '"', '  "a"\t'),
        *("a", '"', '"a', 'a"', "'a'", 'w/"a"', 'W/ "a"', "W/a", '"a b"', '"a"b"', '"a", "b"', '"\x80"', "**", "-1"),
    ],
)
def test_etags(etag: str) -> None:
    """It is taken as it came, also where it breaks the grammar of RFC 9110, section 8.8.3: the site knows it so."""
    assert offered({"ETag": etag}) == Validator(etag.strip())


@pytest.mark.parametrize(
    "etag",
    [
        "",
        " ",
        '"a\tb"',
        '"\x00"',
        '"\x7f"',
        '"\udc80"',
        '"a"\n',
        '"' + "x" * 1023 + '"',
        '"' + "ä" * 512 + '"',
        "*",
    ],
)
def test_etags_that_cannot_be_echoed(etag: str) -> None:
    """With control characters, too long, or the one that stands for any, it is as good as none; a date still counts."""
    assert offered({"ETag": etag}) is None
    assert offered({"ETag": etag, "Last-Modified": DATE}) == Validator(None, DATE)


@pytest.mark.parametrize(
    "date", [DATE, "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994", "Mi, 06 M\xe4r 2024 08:49:37 GMT"]
)
def test_dates(date: str) -> None:
    """A date in any form of RFC 9110, section 5.6.7, is taken as it was written; one in another language too."""
    assert offered({"Last-Modified": date}) == Validator(None, date)


@pytest.mark.parametrize(
    "date",
    ["", "yesterday", "0", "Sun, 99 Nov 1994 08:49:37 GMT", f"{DATE}\r\nX: y", f"{DATE}{' ' * 1024}x", "\uff10", "\0"],
)
def test_what_is_no_date(date: str) -> None:
    """Anything else is as good as none; an ETag beside it still counts."""
    assert offered({"Last-Modified": date}) is None
    assert offered({"Last-Modified": date, "ETag": '"a"'}) == Validator('"a"')


@pytest.mark.parametrize("headers", [{"etag": '"a"', "last-modified": DATE}, {"ETAG": '"a"', "LAST-MODIFIED": DATE}])
def test_names_are_told_apart_by_no_case(headers: dict[str, str]) -> None:
    """However the names are written, in whichever mapping they come."""
    assert offered(headers) == offered(httpx.Headers(headers)) == Validator('"a"', DATE)


def test_of_two_the_first_counts() -> None:
    """A header that has one value is no list, however often it is given; and never a text that joins them."""
    later = "Mon, 07 Nov 1994 08:49:37 GMT"
    twice = [("ETag", '"a"'), ("ETag", '"b"'), ("Last-Modified", DATE), ("last-modified", later)]
    assert offered(httpx.Headers(twice)) == Validator('"a"', DATE)


@pytest.mark.parametrize("etag", [b'"\xc3\xa9"', b'"\xe9"', b'"\xff\x80"', b"\xe2\x82\xac"])
def test_bytes_beyond_ascii_are_a_letter_each(etag: bytes) -> None:
    """So that they go back as they came, whatever they were meant for and whatever stands in the other headers."""
    for other in (b"x", b"\xe9", "é".encode()):
        found = offered(httpx.Headers([(b"X", other), (b"ETag", etag)]))
        assert found is not None
        assert found.etag is not None
        assert found.etag.encode("latin-1") == etag


SENT = ((b"host", b"a.test"), (b"accept-language", b"de"), (b"cookie", b"a=s3cret"), (b"cookie", b"b=2"))


@pytest.mark.parametrize(
    ("vary", "changed", "same"),
    [
        ("", {b"accept-language": b"en"}, True),
        ("Accept-Language", {}, True),
        ("Accept-Language", {b"accept-language": b"en"}, False),
        ("Accept-Language", {b"cookie": b"c=3"}, True),
        ("accept-encoding, ACCEPT-LANGUAGE", {b"accept-encoding": b"br"}, False),
        ("Cookie", {b"cookie": b"a=s3cret"}, False),
        ("X-None", {}, True),
        ("X-None", {b"x-none": b""}, False),
        (" , Accept-Language,,", {b"accept-language": b"fr"}, False),
    ],
)
def test_what_an_answer_hangs_on(vary: str, changed: dict[bytes, bytes], *, same: bool) -> None:
    """By its `Vary`: a request whose headers differ there gets another page. Their values are secrets, and not kept."""
    found = offered({"ETag": '"a"', "Vary": vary}, SENT)
    assert found is not None
    assert "s3cret" not in repr(found)
    assert fits(found, SENT)
    other = (*(pair for pair in SENT if pair[0] not in changed), *changed.items())
    assert fits(found, other) is same


@pytest.mark.parametrize("vary", ["*", "Accept, *", "a b", "\xe9", ", ".join(f"x-{n}" for n in range(400))])
def test_an_answer_that_hangs_on_what_nobody_knows(vary: str) -> None:
    """It cannot be asked for by a validator."""
    assert offered({"ETag": '"a"', "Vary": vary}, SENT) is None


@given(st.text() | st.text('W/"ab '), st.text())
def test_nothing_raises(etag: str, date: str) -> None:
    """Whatever a site sends, what is taken of it can be kept, and goes into a header."""
    found = offered({"ETag": etag, "Last-Modified": date, "X": "y"})
    if found is not None:
        for value in asked(found).values():
            assert value in (etag.strip(" \t"), date.strip(" \t"))
            assert len(value.encode()) <= 1024


@given(st.dictionaries(st.sampled_from([b"ETag", b"Last-Modified"]), st.binary(max_size=20)))
def test_no_bytes_raise(headers: dict[bytes, bytes]) -> None:
    """Nor does what httpx makes of bytes."""
    found = offered(httpx.Headers(headers))
    assert found is None or isinstance(found, Validator)


async def keep(kept: MemoryValidators, found: Mapping[str, Validator], platform: str = "p") -> None:
    """Remember."""
    await kept.remember(platform, found)


async def known(kept: MemoryValidators, url: str, platform: str = "p") -> Validator | None:
    """Recall."""
    return await kept.recall(platform, url)


async def test_what_was_remembered_is_recalled() -> None:
    """By platform and URL; the last one stands."""
    kept: Validators = MemoryValidators()
    assert isinstance(kept, MemoryValidators)
    assert await known(kept, "u") is None
    await keep(kept, {"u": Validator('"1"'), "v": Validator('"2"')})
    await keep(kept, {"u": Validator('"3"')})
    assert await known(kept, "u") == Validator('"3"')
    assert await known(kept, "v") == Validator('"2"')
    assert await known(kept, "u", "another") is None


async def test_the_least_recently_used_are_forgotten() -> None:
    """What was recalled or remembered last stays; one task may bring more than there is room for."""
    kept = MemoryValidators(most=2)
    await keep(kept, {"a": Validator('"a"'), "b": Validator('"b"')})
    assert await known(kept, "a") is not None
    await keep(kept, {"c": Validator('"c"')})
    assert [await known(kept, url) is not None for url in "abc"] == [True, False, True]
    await keep(kept, {url: Validator('"d"') for url in "defg"})
    assert [await known(kept, url) is not None for url in "acdefg"] == [False, False, False, False, True, True]
    assert repr(kept) == "<MemoryValidators 2/2>"


async def test_endless_urls_are_not_kept() -> None:
    """A site that redirects to URLs of its own making fills no memory with them."""
    kept = MemoryValidators()
    await keep(kept, {"u" * 4097: Validator('"a"'), "u" * 4096: Validator('"a"')})
    assert await known(kept, "u" * 4097) is None
    assert await known(kept, "u" * 4096) is not None


@given(st.integers(1, 5), st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=4), max_size=20))
def test_never_more_than_may_be(most: int, tasks: list[list[str]]) -> None:
    """Whatever is remembered, the bound holds, and what came last is known."""
    kept = MemoryValidators(most)

    async def main() -> None:
        for urls in tasks:
            await kept.remember("p", {url: Validator(f'"{url}"') for url in urls})
            assert len(kept._known) <= most
            if urls:
                last = list(dict.fromkeys(urls))[-1]
                assert await kept.recall("p", last) == Validator(f'"{last}"')

    trio.run(main)


@pytest.mark.parametrize(("most", "error"), [(0, ValueError), (-1, ValueError), ("9", TypeError), (True, TypeError)])
def test_the_bound_is_a_number(most: object, error: type[Exception]) -> None:
    """At least one is kept."""
    with pytest.raises(error, match="most=…"):
        MemoryValidators(most)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("control", "age", "seconds"),
    [
        ("max-age=600", "", 600),
        ("public, max-age=600", "", 600),
        ("PUBLIC,MAX-AGE = 600", "", 600),
        ('max-age="600"', "", 600),
        ("max-age=600", "200", 400),
        ("max-age=600", "900", 0),
        ("max-age=600", "soon", 600),
        ("max-age=600", "-5", 600),
        ("", "", 0),
        ("s-maxage=600", "", 0),
        ("x-max-age=600", "", 0),
        ("max-age=-1", "", 0),
        ("max-age=+1", "", 0),
        ("max-age=1e3", "", 1),
        ("max-age=٣", "", 0),
        ("max-age=99999999999999", "", 0),
        ("no-store, max-age=600", "", 0),
        ("max-age=600, no-cache", "", 0),
        ('max-age=600, no-cache="set-cookie"', "", 0),
    ],
)
def test_for_how_long_an_answer_is_fresh(control: str, age: str, seconds: float) -> None:
    """By `max-age`, less the time that it has lain in a cache; whatever a site sends, a number that is not negative."""
    assert fresh_for({"cache-control": control, "age": age}) == seconds


@given(st.text(), st.text())
def test_any_words_are_some_seconds(control: str, age: str) -> None:
    """Nothing that stands in these headers raises."""
    assert fresh_for({"cache-control": control, "age": age}) >= 0

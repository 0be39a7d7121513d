"""How a store is opened by its URL and its options, and how other kinds of stores are made known."""

from typing import get_type_hints

import attrs
import pytest
import trio

import scrapeengine as se
import stores.plain  # noqa: F401 - it registers itself
from scrapeengine.stores import CheckedStore, SqlitePolicy, StoreOptions, StorePolicy, open_store, register
from stores.plain import PlainPolicy, open_plain

ALL = "it has keep, max_kept, max_pending, full"


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"url": "redis://x"}, ValueError, "write 'memory:' or 'sqlite:jobs.db' or .*, or register its scheme"),
        ({"url": "jobs.db"}, ValueError, "'jobs.db' is not the URL of a store that is known"),
        ({"url": "sqlite:"}, ValueError, "path"),
        ({"url": "sqlite:a\0b"}, ValueError, "path"),
        (
            {"url": "sqlite://jobs.db"},
            ValueError,
            "a file has no host; write 'sqlite:jobs.db', or 'sqlite:////srv/jobs",
        ),
        ({"url": "sqlite://host/jobs.db"}, ValueError, "a file has no host; write"),
        ({"url": "sqlite://"}, ValueError, "one in memory is 'memory:'"),
        ({"url": "sqlite:///"}, ValueError, "one in memory is 'memory:'"),
        ({"url": "sqlite::memory:"}, ValueError, "one in memory is 'memory:'"),
        ({"url": "sqlite:///:memory:"}, ValueError, "one in memory is 'memory:'"),
        ({"url": "sqlite:file:jobs.db?mode=rw"}, ValueError, "of one in a file write the path, as in 'sqlite:jobs.db'"),
        ({"url": "sqlite:///jobs.db?timeout=5"}, ValueError, r"write open_store\('sqlite:jobs.db', busy_timeout=5\)"),
        ({"url": "sqlite:/jobs.db"}, ValueError, "write 'sqlite:jobs.db' for one in the folder that the program runs"),
        ({"url": "sqlite:////jobs.db"}, ValueError, "in the root folder; write .* as in 'sqlite:/srv/jobs.db'"),
        ({"url": "sqlite://///jobs.db"}, ValueError, "in the root folder"),
        ({"url": "sqlite:/srv/../jobs.db"}, ValueError, "in the root folder"),
        ({"url": "memory:x"}, ValueError, "memory:"),
        ({"url": 5}, TypeError, "str"),
        ({"url": "memory:", "keep": -1}, ValueError, r"StorePolicy\(keep=…\)"),
        ({"url": "memory:", "max_pending": 0}, ValueError, "max_pending"),
        ({"url": "memory:", "full": "block"}, ValueError, "'wait' or 'raise'"),
        ({"url": "memory:", "busy_timeout": 1}, TypeError, f"'memory:' has no option busy_timeout; {ALL}$"),
        ({"url": "memory:", "most_kept": 1}, TypeError, f"no option most_kept; {ALL}$"),
        ({"url": "sqlite:x", "durability": "none"}, ValueError, "'full' or 'normal'"),
        ({"url": "sqlite:x", "busy_timeout": "long"}, TypeError, r"SqlitePolicy\(busy_timeout=…\) must be a number"),
        ({"url": "sqlite:x", "patience": 1}, TypeError, f"no option patience; {ALL}, durability, busy_timeout$"),
        ({"url": "plain://x", "most_pending": 1, "a": 1}, TypeError, f"no option a, most_pending; {ALL}, label$"),
    ],
)
def test_bad_ways_to_open_a_store_are_refused(options, error, text):
    """At once, with what to write instead."""
    with pytest.raises(error, match=text):
        open_store(**options)


def test_a_program_that_runs_in_the_root_folder_keeps_no_store_there(monkeypatch):
    """As in a container that nobody has given a folder to work in: what is there is lost with it."""
    monkeypatch.chdir("/")
    with pytest.raises(ValueError, match="in the root folder"):
        open_store("sqlite:jobs.db")


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://me:secret@host/x",
        "sqlite:///x?key=secret",
        "redis://me:secret@host/1",
        "redis:me:secret@host",
        "memory:?key=secret",
        "memory://me:secret@x",
        "//me:secret@x",
    ],
)
def test_no_refusal_tells_a_secret(url):
    """User, password and query of a URL stay out of the error."""
    with pytest.raises(ValueError, match="is not the URL of a store") as caught:
        open_store(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "file"),
    [
        ("sqlite:jobs.db", "jobs.db"),
        ("sqlite:sub/jobs.db", "sub/jobs.db"),
        ("sqlite:///jobs.db", "jobs.db"),
        ("sqlite:///sub/jobs.db", "sub/jobs.db"),
        ("sqlite:///./jobs.db", "jobs.db"),
        ("sqlite:{here}/jobs.db", "jobs.db"),
        ("sqlite:///{here}/jobs.db", "jobs.db"),  # four slashes
        ("sqlite:a?b:c d.db", "a?b:c d.db"),
    ],
)
def test_the_file_is_where_its_url_says(monkeypatch, tmp_path, url, file):
    """Seen from the working directory, or from the root where the path says so; with three slashes as in SQLAlchemy."""
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path)

    async def main():
        async with open_store(url.format(here=tmp_path)):
            assert (tmp_path / file).is_file()

    trio.run(main)


def test_a_missing_library_is_named(monkeypatch, tmp_path):
    """Without apsw, a store in a file says which extra has it; one in memory works."""
    monkeypatch.setattr("scrapeengine.stores.sqlite.driver.apsw", None)
    with pytest.raises(ImportError, match=r"pip install 'scrapeengine\[sqlite\]'"):
        open_store(f"sqlite:{tmp_path}/jobs.db")
    assert open_store("memory:")


def test_options_are_described_once():
    """The typed dict has the names and types of the policies, and each field a description."""
    fields = {field.name: field.type for field in attrs.fields(SqlitePolicy)}
    hints = get_type_hints(SqlitePolicy)
    assert get_type_hints(StoreOptions) == {name: hints[name] for name in fields}
    assert {field.name for field in attrs.fields(StorePolicy)} < fields.keys()


def test_a_registered_scheme_gets_the_whole_url_and_its_options():
    """Its opener is called with both, and its store is checked without having to."""
    seen = []

    def opener(url, policy):
        seen.append((url, policy))
        return open_plain("plain://", policy)

    register("mine+x-1.0", opener, PlainPolicy)

    async def main():
        url = "mine+x-1.0://me:secret@host:5432/jobs?ssl=1"
        async with open_store(url, max_pending=5, label="here") as store:
            assert seen == [(url, PlainPolicy(max_pending=5, label="here"))]
            assert isinstance(store, CheckedStore)
            assert repr(store) == "<Store here>"
            assert not store.shared
            with pytest.raises(TypeError, match="jobs must be a list"):
                await store.enqueue(None)

    trio.run(main)


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        (
            ("sqlite", open_plain, PlainPolicy),
            ValueError,
            r"for .*open_file: .*register\('my-sqlite', …",
        ),
        (("plain", open_plain, PlainPolicy), ValueError, r"registered already, for .*plain\.open_plain"),
        (("Mine", open_plain, PlainPolicy), ValueError, "small letters"),
        (("mine:", open_plain, PlainPolicy), ValueError, "small letters"),
        ((5, open_plain, PlainPolicy), ValueError, "small letters"),
        (("other", "open", PlainPolicy), TypeError, "function"),
        (("other", open_plain, dict), TypeError, "StorePolicy or a subclass"),
        (("other", open_plain, PlainPolicy()), TypeError, "StorePolicy or a subclass"),
    ],
)
def test_bad_schemes_are_refused(arguments, error, text):
    """One that somebody has says whose it is, and what to write instead; nothing is registered then."""
    with pytest.raises(error, match=text):
        register(*arguments)
    with pytest.raises(ValueError, match="is not the URL of a store that is known"):
        open_store("other:")


def test_an_engine_serves_a_store_from_outside():
    """All that it needs is the protocol."""

    async def scrape(task):
        await trio.sleep(1)
        if task.event.id == "0":
            task.follow(se.Event("more"))
        return task.event.id

    async def main():
        engine = se.Engine([se.Platform("A", scrape, limit=2)])
        async with open_store("plain://here") as store:
            await engine.enqueue(store, [se.Event(number) for number in range(5)])
            report = await engine.poll(store)
            assert report.outcomes.succeeded == 6
            assert (await store.stats())["A"].done == 6
            assert (await store.get("A", "more")).result == '"more"'

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))

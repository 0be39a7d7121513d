"""Each field of what users see is described once, below it, and `help()` shows that."""

from __future__ import annotations

import ast
import inspect
import pydoc
from typing import Any

import attrs
import pytest

import scrapeengine as se
from scrapeengine import stores
from scrapeengine.model import described as module
from scrapeengine.model.described import described

SHOWN = [
    found
    for package in (se, stores)
    for name in package.__all__
    if isinstance(found := getattr(package, name), type) and attrs.has(found)
]


WHOLLY = (se.Platform, se.Retry, se.Caps, se.Timeout, se.Rate, se.Cadence, stores.StorePolicy)
WHOLLY += (se.Report, se.Counts, se.Statistics, se.PlatformStatistics)


@pytest.mark.parametrize("cls", dict.fromkeys(SHOWN), ids=lambda cls: cls.__name__)
def test_help_shows_each_field_with_its_text(cls: type[attrs.AttrsInstance]) -> None:
    """As it stands in the source, and once."""
    text = pydoc.plain(pydoc.render_doc(cls))
    section = text.partition("Attributes:")[2]
    for field in attrs.fields(cls):
        entry = f" {field.name} ({field.type}){': ' if cls in WHOLLY else ''}"
        assert section.count(entry) == 1, field.name


def test_what_help_shows_is_the_text_below_the_field() -> None:
    """Whole, its paragraphs and what a base class has described included; the class's own docstring is in front."""
    doc = inspect.getdoc(se.Platform)
    assert doc is not None
    assert doc.startswith("One site or API: its scraper, and its policy.\n\n")
    assert "    name (str): The name that events and outcomes call it by. For a platform that serves URLs: its" in doc
    assert '\n\n        `"*"` for the engine\'s default.\n' in doc
    assert "    event (Event): The event that was scraped.\n" in (se.Success.__doc__ or "")
    assert se.Retry().__doc__ == se.Retry.__doc__


def test_where_there_is_no_source_fields_have_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a frozen program."""

    def gone(_: object) -> str:
        raise OSError("no source")

    monkeypatch.setattr(module.inspect, "getsource", gone)

    @described
    @attrs.frozen
    class Lonely:
        """Its own text."""

        number: int = 1
        """A number."""

    assert Lonely.__doc__ == "Its own text.\n\nAttributes:\n    number (int)\n"


def test_without_docstrings_there_is_none() -> None:
    """As with `python -OO`."""

    @described
    @attrs.frozen
    class Silent:
        number: int = 1

    assert Silent.__doc__ is None


def test_nothing_is_parsed_before_it_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Importing costs nothing; it is parsed once."""
    parsed: list[Any] = []
    real = ast.parse

    def counting(source: str) -> ast.Module:
        parsed.append(source)
        return real(source)

    monkeypatch.setattr(module.ast, "parse", counting)

    @described
    @attrs.frozen
    class Late:
        """Its own text."""

        number: int = 1
        """A number."""

    assert not parsed
    for _ in range(2):
        assert (Late.__doc__ or "").startswith("Its own text.")
        assert len(parsed) == 1

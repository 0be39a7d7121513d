"""An option is described once; where it may be given is typed, and wrong ones are refused with words."""

import math
import typing

import attrs
import httpx
import pytest

import scrapeengine as se
from scrapeengine.engine import EngineOptions
from scrapeengine.model.options import EngineKnobs, EnginePolicy, Environment, PlatformKnobs
from scrapeengine.model.task import GetOptions, HeadOptions, PostOptions, RequestOptions, StreamOptions


async def nothing(_):
    """Do nothing."""


def test_the_typed_dicts_have_the_fields_that_they_speak_of():
    """No more, and no less."""
    fields = {*attrs.fields_dict(EnginePolicy), *attrs.fields_dict(Environment)}
    assert set(EngineOptions.__annotations__) == fields
    assert set(EngineKnobs.__annotations__) == set(attrs.fields_dict(EnginePolicy)) - {"dedupe"}
    assert set(PlatformKnobs.__annotations__) < set(attrs.fields_dict(se.Platform))
    for options in (HeadOptions, GetOptions, PostOptions):
        assert set(options.__annotations__) <= set(RequestOptions.__annotations__)
    assert set(StreamOptions.__annotations__) - set(RequestOptions.__annotations__) == {"cap"}


def test_the_types_agree():
    """What a typed dict says of a knob is what the field says."""
    hints = typing.get_type_hints(EngineKnobs)
    for name, hint in hints.items():
        assert str(attrs.fields_dict(EnginePolicy)[name].type) in {str(hint), getattr(hint, "__name__", "")}, name


WRONG = {
    "event_limit": (0, ValueError, r"Engine\(event_limit=…\) must be at least 1"),
    "lookahead": (1.5, TypeError, r"Engine\(lookahead=…\) must be a whole number"),
    "buffer": (0, ValueError, r"Engine\(buffer=…\) must be at least 1"),
    "max_pending": ("many", TypeError, r"Engine\(max_pending=…\) must be a whole number"),
    "lease": (math.inf, ValueError, r"Engine\(lease=…\) must be finite, got inf; write seconds"),
    "dedupe": (1, TypeError, "dedupe"),
    "validators": (object(), TypeError, "must be an object with async `recall` and `remember`, got object"),
    "random": (0.5, TypeError, r"Engine\(random=…\) must be a function, got 0.5"),
    "wall_time": (0, TypeError, r"Engine\(wall_time=…\) must be a function, got 0"),
    "encode": ("str", TypeError, r"Engine\(encode=…\) must be a function"),
    "connector": (object(), TypeError, r"write connector=httpx.MockTransport"),
    "concurrency": (3, TypeError, "Engine has no option 'concurrency'; it takes event_limit, "),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_option_is_refused_with_words(name):
    """At once, by whatever takes options."""
    value, error, words = WRONG[name]
    for make in (se.Engine, lambda platforms, **options: se.collect(platforms, [], **options)):
        with pytest.raises(error, match=words):
            make([se.Platform("A", nothing)], **{name: value})


def test_right_ones_are_taken():
    """A transport of httpx's, or something that carries requests itself."""

    class Carries:
        at_hand = connect = aclose = nothing

    for connector in (httpx.MockTransport(nothing), Carries(), None):
        se.Engine([se.Platform("A", nothing)], connector=connector, random=lambda: 0.5, wall_time=lambda: 0.0)


@pytest.mark.parametrize(
    ("function", "options", "words"),
    [
        ("get", {"content": b""}, r"task.http.get takes no content=…; it takes params, headers, check"),
        ("head", {"conditional": True}, r"task.http.head takes no conditional=…"),
        ("post", {"body": b""}, r"task.http.post takes no body=…; it takes .*content, data, files, json"),
        ("stream", {"conditional": True}, r"task.http.stream takes no conditional=…"),
        ("request", {"cap": 1}, r"task.http.request takes no cap=…"),
    ],
)
def test_what_a_request_cannot_be_given_is_refused_with_what_it_can(function, options, words):
    """As the call is made, whether or not anything is awaited."""

    async def scrape(task):
        method = [function.upper()] if function in {"stream", "request"} else []
        made = getattr(task.http, function)(*method, "http://a.test/", **options)
        async with made:
            pass

    [outcome] = se.collect([se.Platform("A", scrape)], [se.Event(1)])
    assert isinstance(outcome.error, TypeError)
    with pytest.raises(TypeError, match=words):
        raise outcome.error

"""The validators that all policies share: what they refuse, and what their messages say."""

from __future__ import annotations

import math
import sys
from typing import Any

import attrs
import pytest

from scrapeengine.model.checks import each, number, refuse_asyncio, whole


@pytest.mark.parametrize("value", [0, 1, 10**30])
def test_whole_takes_ints_from_the_least_on(value: int) -> None:
    """An int of at least the bound comes back as it is."""
    assert whole(value, "n", least=0) is value


def test_whole_takes_a_negative_bound() -> None:
    """The bound itself is allowed, also below zero."""
    assert whole(-3, "n", least=-3) == -3


@pytest.mark.parametrize("value", [True, False, 1.0, "1", None, math.inf])
def test_whole_refuses_what_is_no_int(value: Any) -> None:
    """A bool, a float or a text is no whole number, and the message shows it, the field and the hint."""
    with pytest.raises(TypeError) as caught:
        whole(value, "Thing(n=…)", least=0, instead="; write 1")
    assert str(caught.value) == f"Thing(n=…) must be a whole number, got {value!r}; write 1"


def test_whole_refuses_less_than_the_least() -> None:
    """One below the bound is refused, with the bound, the value and the hint."""
    with pytest.raises(ValueError, match=r"^Thing\(n=…\) must be at least 2, got 1; write 2$"):
        whole(1, "Thing(n=…)", least=2, instead="; write 2")


def test_whole_needs_no_hint() -> None:
    """Without a hint the message ends after the value."""
    with pytest.raises(ValueError, match=r"^n must be at least 2, got 1$"):
        whole(1, "n", least=2)
    with pytest.raises(TypeError, match=r"^n must be a whole number, got 'x'$"):
        whole("x", "n", least=2)


@pytest.mark.parametrize("value", [1, 0.5, 5e-324, 1e308])
def test_number_takes_positive_numbers_as_floats(value: float) -> None:
    """Ints and floats above zero come back as the same number, as a float."""
    got = number(value, "x")
    assert got == value
    assert isinstance(got, float)


@pytest.mark.parametrize("value", [0, 0.0, -0.0])
def test_number_takes_zero_only_where_it_is_allowed(value: float) -> None:
    """Zero is refused unless the field allows it."""
    assert number(value, "x", zero=True) == 0
    with pytest.raises(ValueError, match=r"^x must be more than 0, got -?0(\.0)?; write 1$"):
        number(value, "x", instead="; write 1")


def test_number_takes_infinity_only_where_it_is_allowed() -> None:
    """For ever is refused unless the field allows it."""
    assert number(math.inf, "x", endless=True) == math.inf
    with pytest.raises(ValueError, match=r"^x must be finite, got inf; write 1$"):
        number(math.inf, "x", instead="; write 1")


@pytest.mark.parametrize("value", [-1, -0.001, -math.inf, math.nan])
def test_number_refuses_negative_ones_and_nan_everywhere(value: float) -> None:
    """Neither allowance lets a negative number or a NaN pass, and the message says the bound that holds."""
    with pytest.raises(ValueError, match=r"^x must be at least 0, got \S+; write 1$"):
        number(value, "x", zero=True, endless=True, instead="; write 1")
    with pytest.raises(ValueError, match=r"^x must be more than 0, got \S+$"):
        number(value, "x")


@pytest.mark.parametrize("value", [True, False, "1", None, 1j, [1]])
def test_number_refuses_what_is_no_number(value: Any) -> None:
    """A bool or a text is no number, and the message shows it, the field and the hint."""
    with pytest.raises(TypeError) as caught:
        number(value, "x", zero=True, endless=True, instead="; write 1")
    assert str(caught.value) == f"x must be a number, got {value!r}; write 1"


def test_each_names_the_class_and_the_field() -> None:
    """The validator passes its options on, and its message names what the user wrote."""

    @attrs.frozen
    class Knob:
        turns: int = attrs.field(validator=each(whole, least=3, instead="; turn more"))

    assert Knob(3).turns == 3
    with pytest.raises(ValueError, match=r"^Knob\(turns=…\) must be at least 3, got 2; turn more$"):
        Knob(2)


def test_where_nobody_has_imported_asyncio_none_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is it imported to find out, which takes a tenth of a second."""
    monkeypatch.delitem(sys.modules, "asyncio")
    refuse_asyncio("this is for trio", "write that")
    assert "asyncio" not in sys.modules

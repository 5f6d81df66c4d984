"""The words of a journal about strategies: plain data in, the same out, nothing else understood."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dhanfast.engine.swap_words import (
    bytes_of,
    plain_state,
    read_words,
    stop_words,
    swap_words,
    text_of,
)  # fmt: skip
from dhanfast.errors import BadData, StrategyError

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner,
                                                                max_size=4),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(state=st.dictionaries(st.text(max_size=8), PLAIN, max_size=5))
def test_plain_data_goes_through_as_it_is(state: dict[str, Any]) -> None:
    taken = plain_state(state, "mine")
    assert taken == state and taken is not state
    words = swap_words(name="a", place="a", params={}, sha256="0", bars=3, state=taken)
    again = read_words(words)["state"]
    assert repr(again) == repr(state), "also -0.0, and what is int stays int"


class Odd(int):
    """An int that is not one."""


@pytest.mark.parametrize("value", [b"", (), set(), Odd(3), object, 1j, float("inf"), 2**63])
def test_anything_else_is_refused_with_its_place(value: Any) -> None:
    with pytest.raises(StrategyError, match=r"mine\.save: state\['a'\]\[1\]\['b'\]"):
        plain_state({"a": [0, {"b": value}]}, "mine")


@settings(max_examples=100, deadline=None)
@given(source=st.binary(max_size=200))
def test_a_file_of_any_encoding_comes_back_byte_for_byte(source: bytes) -> None:
    words = swap_words(name="a", place="a.py", params={}, sha256="0", bars=0, source=source or b"x")
    assert bytes_of(read_words(words)["source"]) == (source or b"x")
    assert bytes_of(json.loads(json.dumps(text_of(source)))) == source


def test_a_stop_keeps_its_words_short() -> None:
    told = read_words(stop_words(why="raised", text="x" * 5_000, way="keep", part=1, call=7))
    assert (told["part"], told["call"], len(told["text"])) == (1, 7, 2_000)


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"[]", b"1", b'{"op": "dance"}', b'{"op": "stop", "way": "off", "why": "raised"}',
     b'{"op": "stop", "way": "keep"}', b'{"op": "stop", "way": "keep", "why": "bored"}'],
)  # fmt: skip
def test_words_that_are_not_understood_are_refused(raw: bytes) -> None:
    with pytest.raises(BadData, match="in words that are not understood"):
        read_words(raw)

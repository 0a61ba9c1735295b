"""A short run of the fuzzing that `make fuzz` does at length."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from noise import noise
from targets import TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_good_examples_pass(name: str) -> None:
    for example in TARGETS[name].examples:
        TARGETS[name].check(example)


@pytest.mark.parametrize("name", TARGETS)
@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_any_bytes_are_answered(name: str, data: st.DataObject) -> None:
    TARGETS[name].check(data.draw(noise(TARGETS[name].examples)))

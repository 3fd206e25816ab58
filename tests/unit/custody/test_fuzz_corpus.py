"""The inputs that the fuzzer kept (``tests/fuzz/corpus``), and strange options: read, or refused in words."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from attest.custody import formats
from attest.custody.formats import BUILT_IN
from attest.errors import OperatorError
from tests.fuzz import inputs

#: For inputs of 2 KiB, which take a thousandth of that.
SECONDS = 5


@pytest.mark.parametrize("format_name", list(BUILT_IN))
def test_read__what_the_fuzzer_found__is_read_or_refused_in_no_time(format_name: str) -> None:
    kept = sorted((inputs.CORPUS / format_name).iterdir())
    outcomes = set()
    for path in kept:
        begin = time.process_time()
        result = inputs.read(format_name, path.read_bytes())  # which checks what it gives
        assert time.process_time() - begin < SECONDS, path.name
        outcomes.add(type(result))
    assert 5 < len(kept) <= 40
    assert len(outcomes) == 2, "the corpus holds both what is read and what is refused"


_VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(
        ["", " ", "\0", "\ud800", "/", "#/", "~", "%", "{account}", "1" * 5000, "EUR", "XXX", "٣", "YYYY", "()"]
    )
    | st.lists(st.text(max_size=3), max_size=2)
    | st.dictionaries(st.text(max_size=3), st.integers(), max_size=2)
)


@pytest.mark.no_cover  # many runs over lines that other tests cover
@pytest.mark.parametrize("format_name", list(BUILT_IN))
@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
def test_check_options__strange_values__are_taken_or_refused_in_words(format_name: str, data: Any) -> None:
    known = formats.find(format_name, "here")
    options = dict(data.draw(st.sampled_from(inputs.setups(format_name))).options)
    names = sorted({*known.options, *options})
    if names:
        options |= data.draw(st.dictionaries(st.sampled_from(names), _VALUES, max_size=3))
        for name in data.draw(st.lists(st.sampled_from(names), max_size=2)):
            options.pop(name, None)
    refusal = None
    try:
        formats.check_options(format_name, options, "here")
    except OperatorError as fault:
        refusal = fault
    assert refusal is None or (refusal.message.startswith("here: options of format ") and refusal.advice)

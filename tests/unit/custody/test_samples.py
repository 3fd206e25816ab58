"""Every format on its samples: they say what they say, and no spoiled one says the same."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from attest.custody.formats import BUILT_IN
from attest.errors import SourceError
from tests.support.samples import Case, cases, mutations

CASES = cases()


def test_samples__every_built_in_format__has_at_least_two() -> None:
    few = [name for name in BUILT_IN if sum(case.format == name for case in CASES) < 2]
    assert few == []


@pytest.mark.parametrize("case", CASES, ids=str)
def test_read__sample__says_exactly_what_it_states(case: Case) -> None:
    assert case.read() == case.expected


@pytest.mark.no_cover  # many runs over lines that other tests cover
@pytest.mark.parametrize("case", CASES, ids=str)
def test_read__any_digit_sign_currency_or_date_changed__never_gives_the_old_value(case: Case) -> None:
    unnoticed, tried = [], 0
    for what, number, data in mutations(case):
        tried += 1
        try:
            if case.read(number, data) == case.expected:
                unnoticed.append(what)
        except SourceError:
            pass
    assert unnoticed == []
    assert tried > 5


@pytest.mark.no_cover  # many runs over lines that other tests cover
@pytest.mark.parametrize("case", CASES, ids=str)
@given(edits=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 3), st.binary(max_size=6)), min_size=1, max_size=4))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
def test_read__bytes_changed_at_random__is_read_or_refused_and_nothing_else(
    case: Case, edits: list[tuple[float, int, bytes]]
) -> None:
    number = sum(len(instead) for _, _, instead in edits) % len(case.documents)
    data = case.documents[number][1]
    for where, removed, instead in edits:
        at = int(where * len(data))
        data = data[:at] + instead + data[at + removed :]
    refusal = None
    try:
        case.read(number, data)
    except SourceError as fault:
        refusal = fault
    assert refusal is None or (refusal.reason and refusal.advice)

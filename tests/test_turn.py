"""Records: missing is None and never NaN, nothing unknown slips in, and JSON gives back what went in."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from entrain.turn import FEATURES, Features, Turn, Word

VALUES = st.none() | st.floats(allow_nan=False, allow_infinity=False)


@pytest.mark.parametrize("name", FEATURES)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_no_feature_can_be_nan_or_infinite(name: str, value: float) -> None:
    with pytest.raises(ValidationError):
        Features(**{name: value})


def test_zero_is_a_value_not_a_gap() -> None:
    at_100_hz = Features(f0_mean_st=0.0, f0_range_st=0.0)
    assert at_100_hz.valid.tolist() == [True, True] + [False] * 5


@given(st.lists(VALUES, min_size=7, max_size=7))
def test_vector_and_valid_follow_the_order_of_the_schema(values: list[float | None]) -> None:
    features = Features(**dict(zip(FEATURES, values, strict=True)))
    assert features.vector.tolist() == [value or 0.0 for value in values]
    assert features.valid.tolist() == [value is not None for value in values]
    assert np.isfinite(features.vector).all()


@given(st.lists(VALUES, min_size=7, max_size=7), st.text(), st.none() | st.floats(-5, 5))
def test_a_turn_survives_json(values: list[float | None], text: str, latency_s: float | None) -> None:
    turn = Turn(
        speaker="user", start_s=1.25, end_s=2.5, text=text, words=(Word(text="a", start_s=0.1), Word(text="b")),
        features=Features(**dict(zip(FEATURES, values, strict=True)), missing={"nhr": "clipped"}),
        latency_s=latency_s, plan={"rate_factor": 1.1, "f0_shift_st": None},
    )  # fmt: skip
    assert Turn.model_validate_json(turn.model_dump_json()) == turn


def test_records_do_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Features().f0_mean_st = 1.0  # type: ignore[misc]


@pytest.mark.parametrize("wrong", [{"speaker": "nobody"}, {"start_s": math.nan}, {"sex": "f"}])
def test_what_a_turn_can_not_be_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Turn(**({"speaker": "user", "start_s": 0.0, "end_s": 1.0} | wrong))  # type: ignore[arg-type]


def test_the_pause_ratio_of_nothing_is_0() -> None:
    assert Features().pause_ratio == 0
    assert Features(duration_s=4.0, speech_s=3.0).pause_ratio == 0.25


def test_word_times_longer_than_the_audio_give_no_negative_pause() -> None:
    assert Features(duration_s=1.0, speech_s=1.2).pause_ratio == 0

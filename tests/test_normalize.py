"""The normaliser: causal, invertible, never without scale, and it ends up knowing the speaker."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrain.history import History
from entrain.normalize import Normalizer
from entrain.turn import FEATURES, Features, Turn

values = st.none() | st.floats(-1e3, 1e3)
features = st.builds(Features, **dict.fromkeys(FEATURES, values))
PITCH, LEVEL, RATE = (FEATURES.index(name) for name in ("f0_mean_st", "level_db", "rate_syll_s"))


def heard(*turns: Features, start: Normalizer | None = None) -> Normalizer:
    normalizer = start or Normalizer.for_person()
    for turn in turns:
        normalizer = normalizer.observe(turn)
    return normalizer


@given(st.lists(features, min_size=1, max_size=8), features)
def test_later_turns_never_change_an_earlier_z(turns: list[Features], later: Features) -> None:
    short, long = History("a"), History("b")
    for i, each in enumerate(turns):
        short.add(Turn(speaker="user", start_s=i, end_s=i + 1, features=each))
    for i, each in enumerate([*turns, later]):
        long.add(Turn(speaker="user", start_s=i, end_s=i + 1, features=each))
    assert [turn.z for turn in long.turns[:-1]] == [turn.z for turn in short.turns]


@given(st.lists(features, max_size=8), features)
def test_it_inverts(turns: list[Features], one: Features) -> None:
    normalizer = heard(*turns)
    z, valid = normalizer.z(one)
    assert np.allclose(normalizer.invert(z)[valid], one.vector[valid], rtol=1e-9, atol=1e-9)


@given(st.lists(features, max_size=8), features)
def test_it_is_always_finite_and_has_a_scale(turns: list[Features], one: Features) -> None:
    normalizer = heard(*turns)
    z, valid = normalizer.z(one)
    assert np.isfinite(z).all()
    assert (normalizer.location_scale()[1] > 0).all()
    assert not z[~valid].any()


def test_the_first_turns_are_not_zero_and_one_by_construction() -> None:
    first = Features(rate_syll_s=6.0)
    second = Features(rate_syll_s=7.0)
    z1 = heard(first).z(first)[0][RATE]
    z2 = heard(first, second).z(second)[0][RATE]
    assert 0.1 < z1 < 2
    assert abs(z2) > 1.05 or abs(z2) < 0.95


def test_the_mean_and_spread_are_those_of_the_formula() -> None:
    turns = [Features(rate_syll_s=rate) for rate in (5.0, 6.0, 4.0)]
    person = Normalizer.for_person()
    m0, s0, k = person.prior_mean[RATE], person.prior_sd[RATE], person.prior_count[RATE]
    mean, sd = heard(*turns).location_scale()
    assert mean[RATE] == pytest.approx((k * m0 + 15) / (k + 3), abs=1e-12)
    assert sd[RATE] == pytest.approx(((4 * s0**2 + 2.0) / (4 + 2)) ** 0.5, abs=1e-12)


def test_nobody_heard_yet_is_the_population() -> None:
    person = Normalizer.for_person()
    mean, sd = person.location_scale()
    assert mean == pytest.approx(person.prior_mean)
    assert sd == pytest.approx(person.prior_sd)


def test_a_constant_speaker_never_becomes_infinite() -> None:
    same = Features(f0_mean_st=3.0, level_db=-20.0, rate_syll_s=4.0)
    normalizer = heard(*[same] * 1_000)
    other = same.model_copy(update={"f0_mean_st": 4.0})
    assert np.isfinite(normalizer.z(other)[0]).all()
    assert (normalizer.location_scale()[1] > 0).all()


def test_it_converges_to_the_speakers_own_mean_and_spread() -> None:
    rng = np.random.default_rng(0)
    own = rng.normal(loc=9.0, scale=0.4, size=3_000)
    normalizer = heard(*(Features(rate_syll_s=float(rate)) for rate in own))
    mean, sd = normalizer.location_scale()
    assert mean[RATE] == pytest.approx(own.mean(), abs=0.02)
    assert sd[RATE] == pytest.approx(own.std(ddof=1), rel=0.02)


@given(st.lists(features, max_size=6))
def test_masked_values_teach_nothing(turns: list[Features]) -> None:
    known = heard(*turns)
    assert known.observe(Features()) == known


def test_a_masked_feature_leaves_only_itself_unlearnt() -> None:
    after = heard(Features(level_db=-30.0, rate_syll_s=None))
    assert after.n[LEVEL] == 1
    assert after.n[RATE] == 0


@given(st.lists(features, max_size=8))
def test_json_keeps_it_exactly(turns: list[Features]) -> None:
    normalizer = heard(*turns)
    assert Normalizer.model_validate_json(normalizer.model_dump_json()) == normalizer


@given(st.floats(-12, 24), st.floats(0.1, 12))
def test_a_higher_voice_never_seems_lower(pitch_st: float, more_st: float) -> None:
    """It did while the register was guessed from the first pitch: at 160 Hz the mean it is compared with leapt by 7 st."""
    low, high = Features(f0_mean_st=pitch_st), Features(f0_mean_st=pitch_st + more_st)
    assert heard(low).z(low)[0][PITCH] < heard(high).z(high)[0][PITCH]


def test_a_low_voice_known_to_be_one_is_not_called_low_for_it() -> None:
    start = Normalizer.for_person("low")
    ordinary = Features(f0_mean_st=start.prior_mean[PITCH])
    assert heard(ordinary, start=start).z(ordinary)[0][PITCH] == pytest.approx(0, abs=1e-9)


def test_a_measured_voice_is_known_from_the_start_and_stays() -> None:
    voice = Normalizer.for_voice(np.arange(7.0), np.full(7, 2.0))
    assert voice.observe(Features(f0_mean_st=50.0)) is voice
    assert voice.z(Features(f0_mean_st=4.0))[0][PITCH] == 2.0


def test_a_state_of_another_length_is_refused() -> None:
    state = Normalizer.for_person().model_dump()
    with pytest.raises(ValueError, match="mean"):
        Normalizer.model_validate(state | {"mean": (0.0, 0.0)})

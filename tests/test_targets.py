"""The targets: in the agent's own voice, inside the caps, a step at a time, and nothing at all when told so."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrain.conditioning import condition
from entrain.strategy import Prediction
from entrain.targets import SPOKEN, Policy, Targets, set_targets
from entrain.tts import Hibari, Rendition
from entrain.turn import FEATURES
from entrain.voice import VoiceProfile

HIBARI = Hibari()
VOICE = VoiceProfile.of(HIBARI)
FREE = Policy(step_f0_st=99, step_rate=99, step_range=99, step_level_db=99)  # caps only
PITCH, RANGE, LEVEL, RATE = (
    FEATURES.index(name) for name in ("f0_mean_st", "f0_range_st", "level_db", "rate_syll_s")
)


def predict(confidence: float = 1.0, **z: float) -> Prediction:
    """The named z; every feature at one confidence."""
    return Prediction(np.array([z.get(name, 0.0) for name in FEATURES]), np.full(7, confidence))


@pytest.fixture(scope="module")
def rendition() -> Rendition:
    return HIBARI.synthesise("We open at nine, and the garden stays open until dusk.")


def test_a_z_is_that_many_reaches_of_the_agents_own_voice() -> None:
    targets = set_targets(predict(f0_mean_st=1, level_db=-1, rate_syll_s=1, f0_range_st=0.5), VOICE, FREE)
    reach, mean = VOICE.reach, VOICE.mean
    assert targets.f0_shift_st == pytest.approx(reach[PITCH])
    assert targets.f0_mean_st == pytest.approx(mean[PITCH] + reach[PITCH])
    assert targets.level_shift_db == pytest.approx(-reach[LEVEL])
    assert targets.rate_factor == pytest.approx(1 + reach[RATE] / mean[RATE])
    assert targets.f0_range_st == pytest.approx(mean[RANGE] + 0.5 * reach[RANGE])
    assert not targets.capped


def test_sign_minus_one_goes_the_other_way() -> None:
    prediction = predict(f0_mean_st=1, level_db=-1, rate_syll_s=0.5)
    to, away = (
        set_targets(prediction, VOICE, FREE.model_copy(update={"sign": sign})) for sign in (1.0, -1.0)
    )
    assert away.f0_shift_st == pytest.approx(-to.f0_shift_st)
    assert away.level_shift_db == pytest.approx(-to.level_shift_db)
    assert away.rate_factor - 1 == pytest.approx(1 - to.rate_factor)


@given(
    st.lists(st.floats(-1e6, 1e6) | st.sampled_from([np.inf, -np.inf, np.nan]), min_size=7, max_size=7),
    st.lists(st.floats(-1, 2) | st.just(np.nan), min_size=7, max_size=7),
    st.sampled_from([-1.0, -0.5, 1.0]),
)
def test_no_prediction_goes_beyond_the_caps(z: list[float], confidence: list[float], sign: float) -> None:
    for policy in (Policy(sign=sign), FREE.model_copy(update={"sign": sign})):
        targets = set_targets(Prediction(np.array(z), np.array(confidence)), VOICE, policy)
        assert abs(targets.f0_shift_st) <= 3
        assert 0.6 <= targets.f0_range_factor <= 1.6
        assert 0.8 <= targets.rate_factor <= 1.25
        assert abs(targets.level_shift_db) <= 6
        for name in ("f0", "range", "rate", "level"):
            assert 0 <= getattr(targets, f"weight_{name}") <= 1


def test_what_a_cap_holds_back_is_named() -> None:
    targets = set_targets(predict(f0_mean_st=1e6, rate_syll_s=-1e6), VOICE, FREE)
    assert targets.capped == ("f0_shift_st", "rate_factor")
    assert (targets.f0_shift_st, targets.rate_factor) == (3, 0.8)


@given(
    st.lists(st.tuples(st.floats(-50, 50), st.floats(0.05, 1)), min_size=1, max_size=10),
    st.sampled_from([0.3, 1.0]),
)
def test_what_is_done_grows_by_a_step_at_most(turns: list[tuple[float, float]], strength: float) -> None:
    policy, previous = Policy(strength=strength), None
    for z, confidence in turns:
        everything = predict(confidence, **dict.fromkeys(SPOKEN, z))
        targets = set_targets(everything, VOICE, policy, previous)
        st_before, range_before, rate_before, db_before = (previous or Targets.none(VOICE)).done
        st_now, range_now, rate_now, db_now = targets.done
        # outwards only: falling back to the voice as it is, when confidence falls, is not held back
        assert abs(st_now) <= abs(st_before) + 1.5 + 1e-9
        assert abs(db_now) <= abs(db_before) + 3 + 1e-9
        assert max(rate_now, 1) <= max(rate_before, 1) * 1.12 + 1e-9
        assert max(range_now, 1) <= max(range_before, 1) * 1.3 + 1e-9
        previous = targets


def test_the_cap_is_reached_in_steps_and_left_in_steps() -> None:
    shifts, previous = list[float](), None
    for z in (99, 99, 99, -99, -99, -99, -99, -99):
        previous = set_targets(predict(f0_mean_st=z), VOICE, Policy(), previous)
        shifts.append(previous.f0_shift_st)
    assert shifts == pytest.approx([1.5, 3, 3, 1.5, 0, -1.5, -3, -3])


def test_factors_take_their_steps_as_factors() -> None:
    first = set_targets(predict(rate_syll_s=99), VOICE)
    second = set_targets(predict(rate_syll_s=99), VOICE, previous=first)
    back = set_targets(predict(rate_syll_s=-99), VOICE, previous=first)
    assert (first.rate_factor, second.rate_factor) == pytest.approx((1.12, 1.25))  # 1.12² is over the cap
    assert back.rate_factor == pytest.approx(1)


def test_a_doubtful_turn_is_no_way_round_the_step_limit() -> None:
    doubtful = set_targets(predict(0.0, f0_mean_st=99), VOICE)
    sure = set_targets(predict(1.0, f0_mean_st=99), VOICE, previous=doubtful)
    assert sure.done[0] == pytest.approx(1.5)


@pytest.mark.parametrize("z", [99, -99])
def test_tighter_caps_hold_at_once_whatever_came_before(z: float) -> None:
    wide = Targets.shifted(VOICE, f0_shift_st=np.sign(z) * 10)
    targets = set_targets(predict(f0_mean_st=z), VOICE, Policy(max_f0_st=1), wide)
    assert targets.f0_shift_st == np.sign(z)


@pytest.mark.parametrize("confidence", [1.0, 0.5, 0.1])
def test_low_confidence_shrinks_towards_neutral(confidence: float) -> None:
    targets = set_targets(predict(confidence, f0_mean_st=1, rate_syll_s=1), VOICE, FREE)
    whole = set_targets(predict(1.0, f0_mean_st=1, rate_syll_s=1), VOICE, FREE)
    assert targets.done[0] == pytest.approx(confidence * whole.done[0])
    assert targets.done[2] - 1 == pytest.approx(confidence * (whole.done[2] - 1))


def test_strength_times_confidence_is_how_much_of_the_way_is_gone() -> None:
    targets = set_targets(predict(0.5, f0_mean_st=1), VOICE, Policy(strength=0.5))
    assert targets.weight_f0 == targets.weight_level == 0.25


@pytest.mark.parametrize(("feature", "kept"), zip(SPOKEN, ("f0", "range", "level", "rate"), strict=True))
def test_each_feature_can_be_entrained_alone(feature: str, kept: str) -> None:
    targets = set_targets(predict(), VOICE, Policy(features=frozenset({feature})))
    on = {name for name in ("f0", "range", "level", "rate") if getattr(targets, f"weight_{name}")}
    assert on == {kept}


def test_a_feature_no_voice_can_be_given_is_refused_with_the_choices() -> None:
    with pytest.raises(
        ValueError, match=r"given jitter\. Select from f0_mean_st, f0_range_st, level_db, rate"
    ):
        Policy(features=frozenset({"jitter"}))


@pytest.mark.parametrize(
    "bad", [{"strength": 1.1}, {"sign": 2}, {"min_rate": 0}, {"step_rate": 1}, {"no": 1}]
)
def test_a_policy_out_of_bounds_is_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        Policy.model_validate(bad)


@pytest.mark.parametrize("anchor", ["sentence", "voice"])
@pytest.mark.parametrize(
    ("policy", "confidence"), [({"strength": 0}, 1.0), ({"sign": 0}, 1.0), ({}, 0.0), ({"features": []}, 1.0)]
)
def test_doing_nothing_gives_the_same_samples(
    policy: dict[str, object], confidence: float, anchor: str, rendition: Rendition
) -> None:
    before = Targets.shifted(VOICE, 3, 1.5, 1.2, 6)  # not even a step on the way back
    whole = Policy.model_validate(policy | {"anchor": anchor})
    targets = set_targets(predict(confidence, **dict.fromkeys(SPOKEN, 2.0)), VOICE, whole, before)
    assert targets.neutral
    made = condition(rendition, targets)
    assert made.audio.samples.tobytes() == rendition.audio.samples.tobytes()
    assert made.realised.engine == "none"
    assert made.realised.not_realised == ()


def test_none_is_the_voice_as_it_is() -> None:
    targets = Targets.none(VOICE)
    assert targets.neutral
    assert (targets.f0_mean_st, targets.rate_syll_s) == (VOICE.mean[PITCH], VOICE.mean[RATE])


def test_targets_come_through_json_exactly() -> None:
    targets = set_targets(predict(0.3, f0_mean_st=0.7, rate_syll_s=-0.3), VOICE, Policy(anchor="voice"))
    assert Targets.model_validate_json(targets.model_dump_json()) == targets

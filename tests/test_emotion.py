"""Models of emotion: loaded from folders, judging turns, and learning a speaker's manner on the way."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import silence, tone
from emotion_model import LABELS, trained, voice
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from entrain.audio import Audio
from entrain.emotion import Emotion, EmotionError, Manner, load_emotion
from entrain.emotion_mean import save as save_mean
from entrain.manner import MAX_Z, Prior, Running


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("svm"))


@pytest.fixture(scope="module")
def model(folder: Path) -> Emotion:
    return load_emotion(folder)


def test_it_hears_what_it_was_taught_and_its_probabilities_are_together_1(model: Emotion) -> None:
    assert model.labels == LABELS
    manner: Manner | None = None
    right = 0
    for emotion in LABELS * 2:  # of a voice that it does not know
        felt = model.feel(voice(emotion, 155.0, 1), manner)
        manner = felt.manner
        assert felt.probabilities is not None
        assert sum(felt.probabilities.values()) == pytest.approx(1)
        right += max(felt.probabilities, key=felt.probabilities.__getitem__) == emotion
    assert right >= 5
    assert manner is not None
    assert manner.n == 6


@pytest.mark.parametrize(
    ("audio", "why"),
    [(tone(seconds=0.1), "too short"), (silence(1.0), "silent"), (Audio.empty(16_000), "too short")],
)
def test_what_cannot_be_judged_says_why_and_teaches_nothing(model: Emotion, audio: Audio, why: str) -> None:
    known = model.feel(voice("calm")).manner
    felt = model.feel(audio, known)
    assert felt.probabilities is None
    assert felt.why == why
    assert felt.manner == known


def test_a_manner_travels_as_json_and_one_of_another_model_is_begun_anew(model: Emotion) -> None:
    known = model.feel(voice("calm")).manner
    assert known is not None
    again = Manner.model_validate_json(known.model_dump_json())
    assert model.feel(voice("sad"), again) == model.feel(voice("sad"), known)
    stranger = Manner(n=3, mean=(1.0, 2.0), m2=(1.0, 1.0))
    assert model.feel(voice("sad"), stranger) == model.feel(voice("sad"), None)


def test_it_is_the_same_at_any_rate_of_sampling(model: Emotion) -> None:
    at_16, at_44 = (
        model.feel(a).probabilities for a in (voice("excited"), voice("excited").resample(44_100))
    )
    assert at_16 is not None
    assert at_44 is not None
    assert at_44 == pytest.approx(at_16, abs=0.1)


def test_the_mean_of_models_is_their_mean_and_its_manner_theirs(
    folder: Path, tmp_path: Path, model: Emotion
) -> None:
    (tmp_path / "a").symlink_to(folder)
    size = len(load_manner(model))
    both = load_emotion(save_mean(tmp_path, "mean", LABELS, {"a": size, "./a": size}))
    one, two = (m.feel(voice("sad"), m.feel(voice("calm")).manner) for m in (model, both))
    assert two.probabilities == pytest.approx(one.probabilities)
    assert one.manner is not None
    assert two.manner == Manner(n=2, mean=one.manner.mean * 2, m2=one.manner.m2 * 2)


def load_manner(model: Emotion) -> tuple[float, ...]:
    manner = model.feel(voice("calm")).manner
    assert manner is not None
    return manner.mean


def test_what_is_no_model_says_what_to_do(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(EmotionError, match="entrain train emotion"):
        load_emotion(tmp_path)
    config = json.loads((folder / "config.json").read_text())
    for change, told in (
        ({"kind": "forest"}, "those are of kind svm"),
        ({"format": 99}, "format 99"),
        ({"schema": "functionals-0"}, "functionals-0"),
        ({"measures": ["loudness of the moon"]}, "loudness of the moon"),
    ):
        (tmp_path / "config.json").write_text(json.dumps(config | change))
        (tmp_path / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
        with pytest.raises(EmotionError, match=told):
            load_emotion(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "model.safetensors").write_bytes(b"not tensors at all")
    with pytest.raises(EmotionError, match=r"model\.safetensors"):
        load_emotion(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(EmotionError, match="not JSON"):
        load_emotion(tmp_path)


# --- a speaker's manner ---------------------------------------------------------------------------------------------

PRIOR = Prior(np.array([10.0, 0.0]), np.array([2.0, 1.0]), count=2.0, spread_count=4.0)
ALL = np.ones(2, bool)


def heard(turns: np.ndarray, prior: Prior = PRIOR) -> Running:
    state = Running.of(None, 2)
    for turn in turns:
        state = prior.observe(state, turn, ALL)
    return state


def test_nothing_heard_is_the_prior_and_much_is_the_speaker() -> None:
    mean, sd = PRIOR.location_scale(heard(np.zeros((0, 2))))
    assert (mean, sd) == (pytest.approx(PRIOR.mean), pytest.approx(PRIOR.sd))
    turns = np.random.default_rng(0).normal([20, -5], [0.5, 3], (2_000, 2))
    mean, sd = PRIOR.location_scale(heard(turns))
    assert mean == pytest.approx(turns.mean(0), abs=0.05)
    assert sd == pytest.approx(turns.std(0), rel=0.02)


@settings(max_examples=40)
@given(turns=arrays(float, st.tuples(st.integers(1, 9), st.just(2)), elements=st.floats(-1e3, 1e3)))
def test_the_formula(turns: np.ndarray) -> None:
    n, x = len(turns), turns.mean(0)
    mean, sd = PRIOR.location_scale(heard(turns))
    assert mean == pytest.approx((2 * PRIOR.mean + n * x) / (2 + n))
    variance = (4 * PRIOR.sd**2 + ((turns - x) ** 2).sum(0)) / (4 + n - 1)
    assert sd**2 == pytest.approx(variance, rel=1e-6, abs=1e-6)


def test_no_plain_running_z_score() -> None:
    """That would be 0 at the first turn and ±1 at the second, whatever is said."""
    first = PRIOR.z(heard(np.array([[16.0, 0.0]])), np.array([16.0, 0.0]), ALL)
    assert first[0] == pytest.approx((16 - (2 * 10 + 16) / 3) / 2)
    near, far = (
        PRIOR.z(heard(np.array([[10.0, 0], [x, 0]])), np.array([x, 0.0]), ALL)[0] for x in (10.5, 14.0)
    )
    assert far > 3 * near > 0


def test_what_is_not_valid_is_ordinary() -> None:
    state = heard(np.array([[16.0, 1.0]]))
    there = np.array([True, False])
    after = PRIOR.observe(state, np.array([12.0, 999.0]), there)
    assert after.mean[1] == pytest.approx((1.0 + PRIOR.location_scale(state)[0][1]) / 2)
    assert after.m2[1] == state.m2[1]
    z = PRIOR.z(after, np.array([1e9, np.nan]), there)
    assert z.tolist() == [MAX_Z, 0.0]


def test_nothing_is_learnt_with_an_infinite_prior() -> None:
    fixed = Prior(PRIOR.mean, PRIOR.sd, float("inf"), 4.0)
    state = heard(np.full((5, 2), 50.0), fixed)
    assert fixed.location_scale(state)[0] == pytest.approx(PRIOR.mean)

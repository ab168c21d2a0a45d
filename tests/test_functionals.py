"""Statistics of a voice: what they say of sounds whose truth is known, what a microphone's gain may change, and no NaN."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import glide, joined, noise, silence, syllables, tone
from hypothesis import given, settings
from hypothesis import strategies as st

from entrain.audio import Audio
from entrain.functionals import EGEMAPS, GAIN, MFCC_MEANS, NAMES, functionals, runs


def read(audio: Audio) -> dict[str, float]:
    """The valid ones by name."""
    values, valid = functionals(audio)
    return {name: value for name, value, known in zip(NAMES, values.tolist(), valid, strict=True) if known}


def voice(hz: float = 140.0, per_s: float = 4.0, seconds: float = 1.5) -> Audio:
    said = syllables(per_s, seconds, hz)
    return Audio(said.samples + noise(seconds, amplitude=0.002).samples, said.rate_hz)


def test_names_are_distinct_and_the_smaller_sets_are_among_them() -> None:
    assert len(set(NAMES)) == len(NAMES)
    assert set(EGEMAPS) | set(MFCC_MEANS) | set(GAIN) <= set(NAMES)
    assert len(MFCC_MEANS) == 13


def test_pitch_rate_and_slopes_of_known_sounds() -> None:
    low, high = read(voice(110)), read(voice(220))
    assert high["f0_st.mean"] - low["f0_st.mean"] == pytest.approx(12, abs=0.5)
    assert read(voice(per_s=5))["peaks_per_s"] == pytest.approx(5, abs=0.8)
    rising = read(glide(120, 180, 1.5))
    assert rising["f0_st.trend"] > 2
    assert read(glide(180, 120, 1.5))["f0_st.trend"] < -2
    assert rising["f0_st.rise"] == pytest.approx(12 * np.log2(1.5) / 1.5, rel=0.15)  # semitones per second


def test_a_bright_sound_has_less_alpha_than_a_dull_one() -> None:
    assert read(voice())["alpha_db.mean"] < read(tone(200, 1.5))["alpha_db.mean"]


@settings(max_examples=6, deadline=None)
@given(gain_db=st.floats(-30, 12))
def test_gain_changes_only_the_level(gain_db: float) -> None:
    audio = voice()
    before, after = functionals(audio)[0], functionals(audio.gain(gain_db))[0]
    change = dict(zip(NAMES, after - before, strict=True))
    assert change.pop("level_db") == pytest.approx(gain_db, abs=0.01)
    scale = np.maximum(1.0, np.abs(before))
    moved = {n: c for (n, c), s in zip(change.items(), scale[1:], strict=True) if abs(c) > 1e-2 * s}
    assert not moved


@settings(max_examples=15, deadline=None)
@given(
    kind=st.sampled_from(["noise", "tone", "silence", "click", "constant"]),
    seconds=st.floats(0, 0.6),
    rate_hz=st.sampled_from([8_000, 16_000, 44_100]),
)
def test_never_nan_never_raises(kind: str, seconds: float, rate_hz: int) -> None:
    made = {"noise": noise, "silence": silence}.get(kind, lambda s, rate: tone(150, s, rate))(
        seconds, rate_hz
    )
    samples = made.samples.copy()
    if kind in ("click", "constant"):
        samples[:] = 0.3 if kind == "constant" else 0.0
        samples[len(samples) // 2 :][:1] = 1.0
    values, valid = functionals(Audio(samples, rate_hz))
    assert values.shape == valid.shape == (len(NAMES),)
    assert np.isfinite(values).all()
    assert not values[~valid].any()


def test_what_has_no_voice_has_no_pitch_but_bands() -> None:
    found = read(noise(1.0))
    assert "f0_st.mean" not in found
    assert "mel10_db.mean" in found


def test_silence_around_a_turn_changes_little() -> None:
    alone, padded = (read(a) for a in (voice(), joined(silence(0.4), voice(), silence(0.4))))
    for name in ("f0_st.mean", "level_db", "mfcc1.mean", "peaks_per_s", "duration_s"):
        assert padded[name] == pytest.approx(alone[name], rel=0.08, abs=0.3), name


def test_the_rate_is_carried_with_the_samples() -> None:
    """The same samples called by another rate are another voice; the same sound at another rate is not."""
    audio = voice()
    assert read(audio.resample(44_100))["f0_st.mean"] == pytest.approx(read(audio)["f0_st.mean"], abs=0.1)
    wrong = read(Audio(audio.samples, 22_050))["f0_st.mean"]
    assert wrong - read(audio)["f0_st.mean"] == pytest.approx(12 * np.log2(22_050 / 16_000), abs=0.5)


def test_runs() -> None:
    assert runs(np.array([True, True, False, True])).tolist() == [2, 1]
    assert not len(runs(np.zeros(3, bool)))

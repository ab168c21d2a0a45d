"""Log-Mel frames: the right band lights up, at the right time, and they are those of a well-known library."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import joined, silence, tone
from hypothesis import given
from hypothesis import strategies as st

from entrain.audio import Audio
from entrain_training.mel import FLOOR, log_mel


@given(st.integers(0, 20_000))
def test_a_row_every_100_ms_and_none_lost(n_samples):
    frames = log_mel(Audio(np.full(n_samples, 0.1, np.float32), 16_000))
    assert frames.shape == (-(-n_samples // 1600), 160)
    assert frames.dtype == np.float16
    assert np.isfinite(frames).all()


def test_a_sound_lights_up_when_it_comes():
    frames = log_mel(joined(silence(0.5), tone(1000, 0.5)))
    assert np.all(frames[:4] == np.float16(np.log(FLOOR)))
    assert frames[6:].max() > 0


@pytest.mark.parametrize("hz", [150, 1000, 4000, 7000])
@pytest.mark.parametrize("rate_hz", [16_000, 48_000])
def test_a_tone_is_loudest_in_its_own_band(hz, rate_hz):
    mel = 2595 * np.log10(1 + np.array([60, hz, 7600]) / 700)
    band = round((mel[1] - mel[0]) / (mel[2] - mel[0]) * 41) - 1
    middle = log_mel(tone(hz, 1.0, rate_hz))[5].reshape(4, 40)
    assert np.all(np.abs(middle.argmax(1) - band) <= 1)


def test_a_telephone_has_nothing_above_4_khz():
    frames = log_mel(Audio(0.1 * np.random.default_rng(0).standard_normal(8000), 8_000)).reshape(-1, 40)
    assert frames[2:-2, :29].min() > frames[2:-2, 31:].max()  # band 30's middle is at 4,060 Hz


def test_the_frames_are_librosas(reading):
    librosa = pytest.importorskip("librosa", reason="comes with entrain[coqui]")
    samples = reading.resample(16_000).samples
    samples = np.pad(samples, (0, -len(samples) % 1600))
    theirs = librosa.feature.melspectrogram(
        y=np.pad(samples, (312, 312)), sr=16_000, n_fft=1024, hop_length=400, win_length=800, center=False,
        n_mels=40, fmin=60, fmax=7600, htk=True, norm=None,
    ).T  # fmt: skip
    ours = log_mel(reading).reshape(-1, 40).astype(float)
    assert np.abs(ours - np.log(np.maximum(theirs, FLOOR))).max() < 0.02  # float16 at −23 holds .008

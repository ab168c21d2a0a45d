"""Sound as it might have been: ratios, rooms and lines of which the truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import noise, silence, tone
from hypothesis import given, settings
from hypothesis import strategies as st

from entrain.asr import RATE_HZ
from entrain_training.augment import at_peak, in_room, loudest, microphone, mixed, room_responses, stretch

SPEECH = tone(seconds=2.0).samples


@settings(max_examples=20, deadline=None)
@given(st.floats(-5, 30), st.integers(0, 1000), st.floats(0.01, 0.9))
def test_noise_lies_as_far_below_speech_as_asked(snr_db: float, seed: int, amplitude: float):
    heard = mixed(SPEECH, noise(5.0, amplitude=amplitude).samples, snr_db, np.random.default_rng(seed))
    added = heard - SPEECH
    found_db = 10 * np.log10(loudest(SPEECH) / np.mean(added**2))
    assert found_db == pytest.approx(snr_db, abs=0.05)


def test_noise_shorter_than_speech_goes_round_and_silence_adds_nothing():
    short = np.arange(1, 5, dtype=np.float32)
    round_and_round = stretch(short, 11, np.random.default_rng(0))
    assert len(round_and_round) == 11
    assert np.array_equal(round_and_round[:4], round_and_round[4:8])
    quiet = mixed(SPEECH, silence(1.0).samples, 0.0, np.random.default_rng(0))
    assert np.array_equal(quiet, SPEECH)


def test_rooms_differ_and_keep_the_moment_and_height_of_the_direct_sound():
    rooms = room_responses(4)
    assert len({len(room) for room in rooms}) > 1
    click = np.zeros(RATE_HZ, np.float32)
    click[1000] = 0.5
    for room in rooms:
        heard = in_room(click, room)
        assert len(heard) == len(click)
        assert np.abs(heard[:1000]).max() < 1e-6
        assert heard[1000] == pytest.approx(0.5, abs=1e-5)
        assert np.sum(heard[1001:] ** 2) > 1e-4
    assert np.array_equal(rooms[0], room_responses(1)[0])  # the same seed, the same rooms


def test_a_microphone_keeps_length_and_time_and_a_seed_repeats():
    found = []
    for seed in range(12):
        heard = microphone(np.random.default_rng(seed))(SPEECH)
        assert heard.shape == SPEECH.shape
        assert np.isfinite(heard).all()
        assert np.array_equal(heard, microphone(np.random.default_rng(seed))(SPEECH))
        found.append(heard)
    assert not np.allclose(found[0], found[1])


def test_peak():
    assert 20 * np.log10(np.abs(at_peak(SPEECH, -12.0)).max()) == pytest.approx(-12, abs=0.01)
    assert not at_peak(silence(0.1).samples, -3.0).any()

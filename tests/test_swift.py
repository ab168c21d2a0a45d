"""The first sentence without waiting: its aims are met without having been measured."""

from __future__ import annotations

import numpy as np
import pytest

from entrain.audio import Audio
from entrain.conditioning import measure
from entrain.swift import (
    HEAD_S,
    Thought,
    can_be_swift,
    lead_s,
    quietest,
    say_swiftly,
    shortfall,
    without_lead,
)
from entrain.targets import Targets
from entrain.tts import TTS, Rendition, load_tts
from entrain.turn import Word
from entrain.voice import VoiceProfile
from tests.conftest import silence, tone


@pytest.fixture(scope="module")
def voice() -> TTS:
    return load_tts("hibari")


TEXT = "We open at nine in the morning, and we close at six."


def shifted(tts: TTS, **change: float) -> Targets:
    return Targets.shifted(VoiceProfile.of(tts), **change)


@pytest.mark.parametrize(("st", "range_x", "rate_x", "db"), [(1.5, 1.2, 1.1, 3.0), (-1.5, 0.8, 0.85, -3.0)])
def test_it_has_its_targets(voice: TTS, st: float, range_x: float, rate_x: float, db: float):
    targets = shifted(voice, f0_shift_st=st, f0_range_factor=range_x, rate_factor=rate_x, level_shift_db=db)
    assert can_be_swift(voice, targets)
    parts = list(say_swiftly(Thought(voice, TEXT), targets))
    assert len(parts) == 2
    low, high = (at / rate_x for at in HEAD_S)
    assert low <= parts[0].duration_s <= high
    made = Audio(np.concatenate([part.samples for part in parts]), voice.rate_hz)
    usual = without_lead(voice.synthesise(TEXT)).audio
    before, _ = measure(Rendition(usual, TEXT))
    after, _ = measure(Rendition(made, TEXT))
    assert made.duration_s == pytest.approx(usual.duration_s / rate_x, rel=0.002)
    assert after.f0_mean_st == pytest.approx(before.f0_mean_st + st, abs=0.35)  # pyright: ignore[reportOptionalOperand]
    assert after.level_db == pytest.approx(before.level_db + db, abs=1.5)  # pyright: ignore[reportOptionalOperand]
    assert after.f0_range_st / before.f0_range_st == pytest.approx(range_x, rel=0.15)  # pyright: ignore[reportOptionalOperand]


def test_neutral_is_the_voice_to_the_bit(voice: TTS):
    targets = Targets.none(VoiceProfile.of(voice))
    assert can_be_swift(voice, targets)
    (only,) = say_swiftly(Thought(voice, TEXT), targets)
    assert np.array_equal(only.samples, without_lead(voice.synthesise(TEXT)).audio.samples)


def test_beyond_the_voices_own_span_it_can_not(voice: TTS):
    assert not can_be_swift(voice, shifted(voice, f0_shift_st=3.5))
    assert not can_be_swift(voice, shifted(voice, f0_range_factor=1.7))
    absolute = Targets.shifted(VoiceProfile.of(voice), f0_shift_st=1, anchor="voice")
    assert not can_be_swift(voice, absolute)


def test_a_voice_whose_knobs_are_not_exact_can_not():
    pytest.importorskip("espeakng_loader")
    espeak = load_tts("espeak")
    assert not can_be_swift(espeak, shifted(espeak, f0_shift_st=1))


@pytest.mark.parametrize("text", ["", "…", "A"])
def test_nothing_or_little_to_say(voice: TTS, text: str):
    targets = shifted(voice, f0_shift_st=1, rate_factor=1.2)
    assert all(np.isfinite(part.samples).all() for part in say_swiftly(Thought(voice, text), targets))


def test_the_cut_is_in_the_gap():
    sound = Audio(
        np.concatenate([tone(150, 0.6).samples, silence(0.05).samples, tone(150, 0.6).samples]), 16_000
    )
    assert 0.6 <= quietest(sound, 0.4, 0.8) <= 0.65
    assert quietest(silence(0.1), 0.4, 0.8) == pytest.approx(0.1)


def test_the_silence_before_is_left_out_and_word_times_are_of_the_rest():
    sound = Audio(np.concatenate([silence(0.3).samples, tone(150, 0.5).samples]), 16_000)
    word = Word(text="oh", start_s=0.3, end_s=0.8)
    made = without_lead(Rendition(sound, "oh", (word,)))
    assert lead_s(sound) == pytest.approx(0.28, abs=0.002)
    assert made.audio.duration_s == pytest.approx(0.52, abs=0.002)
    assert made.words[0].start_s == pytest.approx(0.02, abs=0.002)
    assert lead_s(silence(0.3)) == 0
    assert without_lead(Rendition(silence(0.0), "")).audio.duration_s == 0


def test_what_its_span_does_not_give_is_told(voice: TTS):
    little = shifted(voice, f0_shift_st=2.6)
    assert can_be_swift(voice, little)
    assert shortfall(voice, little) == ("pitch, st: asked 2.60, given 2.00 in the first sentence",)
    assert shortfall(voice, shifted(voice, f0_shift_st=1.6)) == ()

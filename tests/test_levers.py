"""A reply's targets in the words of voices elsewhere: in range, in their units, from what the host has set, and what is left is told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrain.levers import STEPS, VOICES, Lever, knobs, nested, renamed, setting, voice
from entrain.targets import Targets
from entrain.tts import Knobs, TTSError
from entrain.voice import VoiceProfile

AGENT = VoiceProfile.load("entrain/data/voices/hibari-heart.json")
ANY = st.builds(
    Knobs, st.floats(-6, 6), st.floats(0.5, 2), st.floats(0.5, 2), st.floats(-12, 12)
)  # more than a policy allows


@pytest.mark.parametrize("name", VOICES)
@given(asked=ANY)
def test_what_is_applied_and_what_is_left_are_what_was_asked(name: str, asked: Knobs):
    found = setting(voice(name), asked)
    applied, rest = found.applied, found.rest
    assert applied.pitch_st + rest.pitch_st == pytest.approx(asked.pitch_st, abs=2e-3)
    assert applied.level_db + rest.level_db == pytest.approx(asked.level_db, abs=2e-3)
    assert applied.rate_x * rest.rate_x == pytest.approx(asked.rate_x, rel=3e-3)
    assert applied.range_x * rest.range_x == pytest.approx(asked.range_x, rel=3e-3)
    assert set(found.values) == {lever.name for lever in voice(name)}, "neutral ones too"
    for lever in voice(name):
        assert lever.low <= getattr(applied, lever.knob) <= lever.high
    n_beyond = sum(
        getattr(applied, knob) != getattr(asked, knob)
        for knob in ("pitch_st", "range_x", "rate_x", "level_db")
    )
    assert len(found.notes) == n_beyond


@pytest.mark.parametrize("name", VOICES)
def test_neutral_is_neutral(name: str):
    neutral = {
        "x": 1.0,
        "length": 1.0,
        "%": 100.0,
        "+%": "+0%",
        "st": 0,
        "dB": 0,
        "+st": "+0st",
        "+dB": "+0dB",
    }
    found = setting(voice(name), Knobs())
    assert found.values == {lever.name: neutral[lever.unit] for lever in voice(name)}
    assert (found.rest, found.notes) == (Knobs(), ())


def test_each_unit():
    asked = Knobs(pitch_st=-1.5, rate_x=1.25, level_db=6)
    values = {name: setting(voice(name), asked).values for name in VOICES}
    assert values["azure"] == {"pitch": "-8.3%", "rate": 1.25, "volume": "+99.5%"}  # amplitude: twice
    assert values["google"] == {"pitch": -1.5, "speaking_rate": 1.25, "volume_gain_db": 6}
    assert values["polly"] == {"rate": 125.0, "volume": "+4dB"}
    assert values["piper"] == values["piper"] == {"length_scale": 0.8}
    assert values["minimax"]["pitch"] == -2, "whole semitones"
    assert setting(voice("polly"), asked).notes == (
        "pitch, st: asked -1.50, given 0.00", "level, dB: asked 6.00, given 4.00",
    )  # fmt: skip


def test_what_the_host_has_set_is_kept():
    asked = Knobs(pitch_st=1, rate_x=0.9, level_db=-2)
    assert setting(voice("openai"), asked, {"speed": 1.2}).values == {"speed": 1.08}
    assert setting(voice("google"), asked, {"pitch": -2.0, "volume_gain_db": 3}).values == {
        "pitch": -1.0, "speaking_rate": 0.9, "volume_gain_db": 1,
    }  # fmt: skip
    assert setting(voice("piper"), asked, {"length_scale": 1.2}).values == {"length_scale": 1.333}
    for nothing in (None, True, "fast"):  # "fast" is somebody's word, not a number
        assert setting(voice("openai"), asked, {"speed": nothing}).values == {"speed": 0.9}


def test_targets_come_in_steps_that_are_heard():
    targets = Targets.shifted(AGENT, 1.13, 1.17, 0.913, -2.3)
    assert knobs(targets) == Knobs(1.25, 1.2, 0.92, -2.5)
    for knob, step in STEPS.items():
        assert abs(getattr(knobs(targets), knob) - getattr(Knobs(*targets.done), knob)) <= step / 2 + 1e-9
    assert knobs(Targets.none(AGENT)) == Knobs()


def test_names_of_a_framework():
    theirs = renamed(voice("cartesia"), {"generation_config.speed": "speed"})
    assert setting(theirs, Knobs(rate_x=1.1)).values == {"speed": 1.1}
    assert nested({"a.b": 1, "a.c.d": 2, "e": 3}) == {"a": {"b": 1, "c": {"d": 2}}, "e": 3}
    assert Lever("pitch", "pitch_st", -12, 12, "+st").value(2) == "+2st"


def test_an_unknown_voice():
    with pytest.raises(TTSError, match=r"no table of levers for 'siri'\. Select one of azure, .*rime"):
        voice("siri")

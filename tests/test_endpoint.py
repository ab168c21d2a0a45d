"""Turns in a recording: where they lie, at any rate, however much silence there is around them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import joined, noise, silence, tone

from entrain.audio import Audio
from entrain.endpoint import find_turns

NEAR_S = 0.05


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000])
def test_turns_are_found_where_they_are_at_any_rate(rate_hz: int) -> None:
    """At 11,025 and 22,050 Hz ten milliseconds are no whole number of samples: the error must not add up."""
    hush, word = silence(30.0, rate_hz), tone(rate_hz=rate_hz)
    turns = find_turns(joined(hush, word, hush, word))
    assert np.array(turns) == pytest.approx(np.array([(30, 31), (61, 62)]), abs=NEAR_S)


def test_short_pauses_are_inside_a_turn_and_long_ones_part_it() -> None:
    assert len(find_turns(joined(tone(), silence(0.4), tone()))) == 1
    assert len(find_turns(joined(tone(), silence(1.0), tone()))) == 2
    assert len(find_turns(joined(tone(), silence(1.0), tone()), pause_s=1.5)) == 1


def test_a_click_is_no_turn() -> None:
    assert find_turns(joined(silence(1), tone(seconds=0.05), silence(1))) == []


@pytest.mark.parametrize("amplitude", [0, 1e-4])
@pytest.mark.parametrize("offset", [0, 0.1])
def test_one_word_in_a_minute_is_found(amplitude: float, offset: float) -> None:
    room = noise(60.0, amplitude=amplitude).samples.copy()
    room[160_000:168_000] += tone(seconds=0.5).samples
    assert find_turns(Audio(room + np.float32(offset), 16_000)) == [pytest.approx((10, 10.5), abs=NEAR_S)]


@pytest.mark.parametrize(
    "sound", [silence(0), silence(1 / 16_000), silence(2), Audio(np.full(9_999, 0.1), 16_000)]
)
def test_nothing_to_hear_holds_no_turn(sound: Audio) -> None:
    assert find_turns(sound) == []


def test_turns_of_a_conversation_lie_in_order_within_it(data: Path) -> None:
    audio = Audio.read(data / "two_channel" / "examples_data_test-A.wav")
    times = np.array(find_turns(audio)).ravel()
    assert len(times) >= 12
    assert (np.diff(times) > 0).all()
    assert times[0] == pytest.approx(0.286, abs=0.1)  # by the words' times
    assert times[-1] <= audio.duration_s


def test_gain_does_not_move_turns(data: Path) -> None:
    audio = Audio.read(data / "two_channel" / "examples_data_test-B.wav")
    assert find_turns(audio.gain(-20)) == find_turns(audio)

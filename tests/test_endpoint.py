"""Turns: where they lie in a recording, at any rate, and in a stream of probabilities as it comes."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from conftest import joined, noise, silence, tone
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from entrain.audio import Audio
from entrain.endpoint import Boundary, Endpointer, EndpointError, EndpointPolicy, find_turns

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


# --- while it is spoken ---------------------------------------------------------------------------------------------

STEP_S = 0.02
POLICY = EndpointPolicy(pre_roll_s=0.2)


class Says:
    """A turn detector that answers what it was told to, and remembers what it was shown."""

    def __init__(self, *answers: float) -> None:
        self.answers, self.asked_s = list(answers), []

    def complete(self, samples: NDArray[np.float32]) -> float:
        self.asked_s.append(len(samples) / 16_000)
        return self.answers.pop(0)


class Breaks:
    def complete(self, samples: NDArray[np.float32]) -> float:
        raise RuntimeError("no memory left")


def sound(start_s: float, end_s: float) -> NDArray[np.float32]:
    assert 0 <= start_s <= end_s
    return np.zeros(round((end_s - start_s) * 16_000), np.float32)


def heard(endpointer: Endpointer, *stretches: tuple[float, float]) -> list[tuple[str, float, str]]:
    """Each stretch is (seconds, probability)."""
    boundaries: list[Boundary] = []
    for seconds, probability in stretches:
        for _ in range(round(seconds / endpointer.step_s)):
            boundaries += endpointer.feed(probability, sound)
    return [(b.kind, round(b.at_s, 3), b.why) for b in boundaries]


def test_silence_alone_ends_a_turn_without_a_detector() -> None:
    endpointer = Endpointer(POLICY, STEP_S)
    assert heard(endpointer, (1, 0), (1, 1), (0.58, 0)) == [("start", 0.8, ""), ("pause", 2.1, "")]
    assert heard(endpointer, (0.04, 0)) == [("end", 2.1, "silence")]


def test_a_detector_ends_a_turn_at_the_pause_and_is_shown_the_turn() -> None:
    detector = Says(0.9)
    endpointer = Endpointer(POLICY, STEP_S, detector)
    assert heard(endpointer, (1, 0), (1, 1), (0.2, 0)) == [
        ("start", 0.8, ""),
        ("pause", 2.1, ""),
        ("end", 2.1, "complete"),
    ]
    assert detector.asked_s == [pytest.approx(2.1 - 0.8)]


def test_an_incomplete_turn_goes_on_after_its_pause() -> None:
    detector = Says(0.1, 0.6)
    got = heard(Endpointer(POLICY, STEP_S, detector), (1, 1), (1, 0), (1, 1), (1, 0))
    assert [kind for kind, _, _ in got] == ["start", "pause", "resume", "pause", "end"]
    assert got[2] == ("resume", 2.0, "")
    assert got[-1] == ("end", 3.1, "complete")
    assert len(detector.asked_s) == 2


def test_an_incomplete_turn_is_not_waited_for_longer_than_the_limit() -> None:
    endpointer = Endpointer(POLICY, STEP_S, Says(0.1))
    assert heard(endpointer, (1, 1), (1.18, 0))[-1][0] == "pause"
    assert heard(endpointer, (0.02, 0)) == [("end", 1.1, "silence")]


def test_a_click_is_no_turn_and_holds_no_turn_open() -> None:
    assert heard(Endpointer(POLICY, STEP_S), (1, 0), (0.06, 1), (1, 0)) == []
    got = heard(Endpointer(POLICY, STEP_S), (1, 1), (0.4, 0), (0.06, 1), (0.14, 0))
    assert got[-1] == ("end", 1.1, "silence")


def test_mm_hm_is_a_turn() -> None:
    got = heard(Endpointer(EndpointPolicy(), 0.032), (1, 0), (0.3, 0.8), (1, 0))
    assert [kind for kind, _, _ in got] == ["start", "pause", "end"]


def test_the_threshold_to_stop_is_lower_than_to_start() -> None:
    endpointer = Endpointer(POLICY, STEP_S)
    assert heard(endpointer, (1, 0.45)) == []
    assert heard(endpointer, (0.2, 0.55), (2, 0.45)) == [("start", 0.8, "")]
    assert heard(endpointer, (1, 0.3))[-1][0] == "end"


def test_speech_after_an_end_does_not_reach_back_into_the_last_turn() -> None:
    got = heard(Endpointer(EndpointPolicy(pre_roll_s=2.0), STEP_S), (1, 1), (0.6, 0), (1, 1))
    assert got[-2:] == [("end", 1.1, "silence"), ("start", 1.1, "")]


def test_a_monologue_is_cut_and_goes_on_as_the_next_turn() -> None:
    got = heard(Endpointer(EndpointPolicy(max_turn_s=5), STEP_S), (12, 1), (1, 0))
    assert got == [
        ("start", 0.0, ""),
        ("end", 5.0, "long"),
        ("start", 5.0, ""),
        ("end", 10.0, "long"),
        ("start", 10.0, ""),
        ("pause", 12.1, ""),
        ("end", 12.1, "silence"),
    ]


def test_push_to_talk_waits_through_silence() -> None:
    endpointer = Endpointer(POLICY, STEP_S)
    assert heard(endpointer, (1, 0)) == []
    assert [b.kind for b in endpointer.begin()] == ["start"]
    assert endpointer.begin() == []
    assert heard(endpointer, (1, 1), (5, 0), (1, 1)) == []
    assert endpointer.force_end() == [Boundary("end", pytest.approx(8.0), "pressed")]
    assert endpointer.force_end() == []


def test_reset_forgets_the_turn_but_not_the_time() -> None:
    endpointer = Endpointer(POLICY, STEP_S)
    heard(endpointer, (2, 1))
    endpointer.reset()
    assert endpointer.force_end() == []
    assert heard(endpointer, (1, 0), (0.2, 1)) == [("start", 2.8, "")]


def test_a_detector_that_fails_is_named_once_and_silence_decides(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "entrain.endpoint"):
        got = heard(Endpointer(POLICY, STEP_S, Breaks()), (1, 1), (1, 0), (1, 1), (1, 0))
    assert [why for kind, _, why in got if kind == "end"] == ["silence", "silence"]
    assert len(caplog.records) == 1


@given(
    st.lists(st.tuples(st.sampled_from([0.0, 0.4, 0.6, 1.0, float("nan")]), st.integers(1, 60)), max_size=40)
)
def test_boundaries_come_in_order_whatever_is_heard(runs: list[tuple[float, int]]) -> None:
    """start, then pause and resume by turns, then end; times never go back beyond the last turn's end."""
    endpointer = Endpointer(EndpointPolicy(max_turn_s=3), STEP_S)
    stretches = [(n * STEP_S, probability) for probability, n in runs]
    got = heard(endpointer, *stretches, (2, 0))
    allowed = {"end": "start", "start": "pause end", "pause": "resume end", "resume": "pause end"}
    state, end_s = "end", 0.0
    for kind, at_s, why in got:
        assert kind in allowed[state]
        assert end_s <= at_s <= endpointer.now_s + 1e-6
        assert bool(why) == (kind == "end")
        state, end_s = kind, at_s if kind == "end" else end_s
    assert state == "end"


@pytest.mark.parametrize(
    "wrong",
    [
        {"start_p": 0.3},
        {"stop_p": 0},
        {"complete_p": 2},
        {"pause_s": 0},
        {"pause_s": 1},
        {"tail_s": -1},
        {"max_turn_s": 0},
        {"start_p": float("nan")},
    ],
)
def test_a_policy_that_cannot_work_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(EndpointError):
        EndpointPolicy(**wrong)

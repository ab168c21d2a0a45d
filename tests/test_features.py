"""A conversation → rows: the same numbers as live, one row a turn, and a reason for each one that is missing."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile
from conftest import joined, silence, syllables, tone
from hypothesis import given, settings
from hypothesis import strategies as st

from entrain.audio import Audio, AudioError
from entrain.history import History
from entrain.prosody import extract
from entrain.turn import FEATURES, Features, Turn, Word
from entrain_training.corpora import Conversation, Spoken
from entrain_training.corpora.turns import join, word
from entrain_training.features import Settings, latencies, measure

WORDS = (Word(text="we", start_s=0.0, end_s=0.2), Word(text="open", start_s=0.3, end_s=0.7))


@st.composite
def talks(draw) -> list[Spoken]:
    """Two people, whose features are known in part."""
    value = st.none() | st.floats(-50, 50)
    turns = []
    for start_s in sorted(draw(st.lists(st.floats(0, 100), max_size=12))):
        features = Features(**{name: draw(value) for name in FEATURES})
        turns.append(
            Spoken(
                draw(st.sampled_from(("user", "agent"))),
                start_s,
                start_s + draw(st.floats(0, 9)),
                features=features,
            )
        )
    return turns


@given(talks())
@settings(deadline=None)
def test_z_and_latency_are_what_a_live_conversation_has(turns):
    history = History("live")
    live = [
        history.add(Turn(speaker=t.speaker, start_s=t.start_s, end_s=t.end_s, features=t.features))
        for t in turns
    ]
    rows = measure(Conversation("made", "c", tuple(turns))).rows
    assert [row["latency_s"] for row in rows] == [turn.latency_s for turn in live]
    assert [tuple(row[f"z_{name}"] for name in FEATURES) for row in rows] == [turn.z for turn in live]


@given(talks())
@settings(deadline=None)
def test_targets_know_the_turns_before_and_not_this_one(turns):
    rows = measure(Conversation("made", "c", tuple(turns))).rows
    for i, turn in enumerate(turns):
        history = History("live")
        for t in turns[:i]:
            history.add(Turn(speaker=t.speaker, start_s=t.start_s, end_s=t.end_s, features=t.features))
        z, valid = getattr(history, turn.speaker).z(turn.features)
        expected = [float(v) if ok else None for v, ok in zip(z, valid, strict=True)]
        assert [rows[i][f"target_{name}"] for name in FEATURES] == expected


def test_latency_is_from_the_last_turn_of_another_speaker_however_many_there_are():
    turns = [
        Spoken("a", 0, 2),
        Spoken("a", 3, 4),
        Spoken("b", 3.5, 6),
        Spoken("c", 7, 8),
        Spoken("c", 9, 10),
        Spoken("a", 11, 12),
    ]
    assert list(latencies(turns)) == [None, None, -0.5, 1, 3, 1]


def test_each_turn_is_measured_on_its_own_stretch_and_channel(tmp_path):
    left = joined(tone(120, 2.0), silence(2.0), syllables(4, 3.0))
    right = joined(silence(2.0), tone(240, 2.0), silence(3.0))
    path = tmp_path / "both.wav"
    soundfile.write(path, np.stack([left.samples, right.samples], 1), 16_000, subtype="FLOAT")
    turns = (Spoken("a", 0, 2, "one two"), Spoken("b", 2, 4), Spoken("a", 4.1, 6.9, "la " * 11))
    found = measure(Conversation("made", "c", turns, {"a": (path, 0), "b": (path, 1)}))
    for row, turn, channel in zip(found.rows, turns, (left, right, left), strict=True):
        expected = extract(channel.part(turn.start_s, turn.end_s), turn.text)
        assert {name: row[name] for name in FEATURES} == {name: getattr(expected, name) for name in FEATURES}
        assert (row["duration_s"], row["speech_s"], row["pause_ratio"]) == (
            expected.duration_s, expected.speech_s, expected.pause_ratio,
        )  # fmt: skip
    assert found.rows[1]["f0_mean_st"] == pytest.approx(12 * np.log2(2.4), abs=0.05)
    assert found.audio_s == pytest.approx(6.8)
    assert found.notes == []


def test_without_audio_the_rate_comes_from_word_times():
    turns = (Spoken("a", 1, 2, "we open", WORDS), Spoken("b", 2, 3, "yes"))
    timed, untimed = measure(Conversation("made", "c", turns)).rows
    assert timed["rate_syll_s"] == pytest.approx(3 / 0.7)  # the gap of .1 s is no pause
    assert timed["rate_source"] == "words"
    assert timed["pause_ratio"] == pytest.approx(0.3)
    assert untimed["rate_syll_s"] is None
    assert untimed["speech_s"] is None
    assert untimed["pause_ratio"] == 0
    assert untimed["duration_s"] == 1
    assert untimed["n_syllables"] == 1
    assert json.loads(untimed["missing"]) == dict.fromkeys(FEATURES, "no audio")
    assert "rate_syll_s" not in json.loads(timed["missing"])


def test_the_corpus_own_features_are_kept_and_the_untold_have_a_reason():
    told = Features(rate_syll_s=4.0, speech_s=1.0, missing={"nhr": "clipped"})
    row = measure(Conversation("made", "c", (Spoken("a", 0, 2, "one two three", features=told),))).rows[0]
    assert (row["rate_syll_s"], row["duration_s"], row["pause_ratio"], row["voiced_s"]) == (
        4.0,
        2.0,
        0.5,
        None,
    )
    missing = json.loads(row["missing"])
    assert missing["nhr"] == "clipped"
    assert missing["jitter"] == "not in the corpus"
    assert "rate_syll_s" not in missing


def test_a_turn_beyond_its_recording_is_a_row_with_the_reason_and_a_note(tmp_path):
    path = tone(150, 2.0).write(tmp_path / "a.wav")
    turns = (
        Spoken("a", 0, 1),
        Spoken("a", 1, 2.05),
        Spoken("a", 1.2, 2.5, "we open", WORDS),
        Spoken("a", 3, 4),
    )
    found = measure(Conversation("made", "c", turns, {"a": (path, 0)}), Settings(mel=True))
    assert [row["f0_mean_st"] is None for row in found.rows] == [False, False, True, True]
    assert json.loads(found.rows[2]["missing"])["f0_mean_st"] == "audio cut off"
    assert found.rows[2]["rate_syll_s"] == pytest.approx(3 / 0.7)
    assert [row["mel"] is None for row in found.rows] == [False, False, True, True]
    assert len(found.notes) == 2
    assert "a.wav ends at 2.00 s; a speaks until 2.50 s" in found.notes[0]


def test_a_speaker_without_a_recording_is_not_heard_and_the_other_is(tmp_path):
    path = tone(150, 2.0).write(tmp_path / "a.wav")
    heard, unheard = measure(
        Conversation("made", "c", (Spoken("a", 0, 1), Spoken("b", 1, 2)), {"a": (path, 0)})
    ).rows
    assert heard["f0_mean_st"] is not None
    assert json.loads(unheard["missing"])["f0_mean_st"] == "no audio"


@pytest.mark.parametrize("what", ["nothing", "text", "one channel"])
def test_a_recording_that_can_not_be_used_is_an_error_that_names_it(tmp_path, what):
    path = tmp_path / "a.wav"
    if what == "text":
        path.write_text("hello" * 100)
    elif what == "one channel":
        tone(150, 2.0).write(path)
    says = {
        "nothing": "no such file",
        "text": "not readable as audio",
        "one channel": "has 1 channels; a should be on channel 1",
    }
    with pytest.raises(AudioError) as error:
        measure(Conversation("made", "c", (Spoken("a", 0, 1),), {"a": (path, 1)}))
    assert says[what] in str(error.value)
    assert str(path) in str(error.value)


def test_a_real_dialogue_with_its_words(data):
    def words(side: str):
        for line in (
            (data / "two_channel" / f"examples_data_test-{side}.words")
            .read_text(encoding="utf-8")
            .splitlines()
        ):
            start, end, text = line.split(maxsplit=2)
            if text != "#":
                yield word(float(start), float(end), text)

    turns, _ = join({side: words(side) for side in "AB"}, "two_channel")
    audio = {side: (data / "two_channel" / f"examples_data_test-{side}.wav", 0) for side in "AB"}
    rows = measure(Conversation("games", "c", turns, audio)).rows
    assert len(rows) == len(turns) > 20
    sides = {side: Audio.read(audio[side][0]) for side in "AB"}
    for row, turn in zip(rows, turns, strict=True):
        alone = extract(sides[turn.speaker].part(turn.start_s, turn.end_s), turn.text, turn.words)
        assert {name: row[name] for name in FEATURES} == {name: getattr(alone, name) for name in FEATURES}
        assert (row["rate_source"] == "words") == (row["n_syllables"] > 0)
        assert json.loads(row["missing"]) == {}

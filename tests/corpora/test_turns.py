from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrain.turn import Word
from entrain_training.corpora import JOIN_S, Spoken, Unit
from entrain_training.corpora.turns import join, mark_overlaps, word

FAULTS = [(-0.5, 1.0), (2.0, 1.0), (math.nan, 1.0), (0.0, math.nan), (0.0, math.inf), (math.inf, math.inf)]

Units = dict[str, list[Unit]]


@st.composite
def units(draw: st.DrawFn, shortest: int = 0) -> Units:
    """Units of up to three speakers in any order, also within one another; no text is there twice. Times are in tenths of a second,
    so that many gaps are exactly half a second."""
    said: Units = {}
    for speaker in draw(st.lists(st.sampled_from("ABC"), unique=True)):
        times = draw(st.lists(st.tuples(st.integers(0, 200), st.integers(shortest, 8)), max_size=12))
        said[speaker] = [
            Unit(start / 10, (start + length) / 10, f"{speaker}{n}")
            for n, (start, length) in enumerate(times)
        ]
    return said


def texts(turns: tuple[Spoken, ...]) -> list[str]:
    return sorted(text for turn in turns for text in turn.text.split())


@given(units(shortest=1))
def test_no_text_is_doubled_and_none_lost(said: Units):
    turns, skipped = join(said, "here")
    assert texts(turns) == sorted(unit.text for of_one in said.values() for unit in of_one)
    assert skipped == []


@given(units())
def test_what_has_no_length_is_in_the_turn_around_it_or_listed(said: Units):
    turns, skipped = join(said, "here")
    listed = [text for line in skipped for text in line.split("'")[1].split()]
    assert sorted([*texts(turns), *listed]) == sorted(u.text for of_one in said.values() for u in of_one)
    assert all(turn.end_s > turn.start_s for turn in turns)


@given(units(shortest=1), st.lists(st.sampled_from(FAULTS)))
def test_faults_and_repetitions_are_listed_and_change_nothing(said: Units, faults: list[tuple[float, float]]):
    bad = [Unit(start_s, end_s, "bad") for start_s, end_s in faults]
    worse = {speaker: [*bad, *of_one, *of_one[:2]] for speaker, of_one in said.items()}
    turns, skipped = join(worse, "here.txt")
    assert turns == join(said, "here.txt")[0]
    assert len(skipped) == sum(len(worse[speaker]) - len(said[speaker]) for speaker in said)
    assert all(line.startswith("here.txt, ") for line in skipped)


@given(units(shortest=1))
def test_turns_of_one_speaker_are_half_a_second_apart_and_have_no_such_gap_inside(said: Units):
    turns, _ = join(said, "here")
    by_text = {unit.text: unit for of_one in said.values() for unit in of_one}
    for speaker in said:
        own = [turn for turn in turns if turn.speaker == speaker]
        assert all(round(b.start_s - a.end_s, 6) >= JOIN_S for a, b in pairwise(own))
        for turn in own:
            inside = sorted((by_text[text] for text in turn.text.split()), key=lambda u: u.start_s)
            ends = [max(u.end_s for u in inside[: n + 1]) for n in range(len(inside))]
            assert all(round(u.start_s - end, 6) < JOIN_S for end, u in zip(ends, inside[1:], strict=False))
            assert (turn.start_s, turn.end_s) == (inside[0].start_s, ends[-1])


@given(units(shortest=1))
def test_turns_are_in_order_and_marked_where_another_was_speaking(said: Units):
    turns, _ = join(said, "here")
    assert list(turns) == sorted(turns, key=lambda t: (t.start_s, t.end_s, t.speaker))
    for number, turn in enumerate(turns):
        others = [t for t in turns[:number] if t.speaker != turn.speaker]
        assert turn.overlap == any(t.end_s > turn.start_s for t in others)


@given(units(shortest=1))
def test_joining_turns_again_changes_nothing(said: Units):
    turns, _ = join(said, "here")
    again = {s: [Unit(t.start_s, t.end_s, t.text) for t in turns if t.speaker == s] for s in said}
    assert join(again, "here")[0] == turns


@pytest.mark.parametrize("end_s", [0.1, 1.1, 4.1, 8.2, 1000.3])
def test_half_a_second_parts_whatever_its_last_bit(end_s: float):
    """4.6 − 4.1 is .4999999999999996."""
    turns, _ = join({"A": [Unit(0.0, end_s, "a"), Unit(round(end_s + JOIN_S, 3), end_s + 1, "b")]}, "here")
    assert [turn.text for turn in turns] == ["a", "b"]
    turns, _ = join({"A": [Unit(0.0, end_s, "a"), Unit(end_s + 0.499, end_s + 1, "b")]}, "here")
    assert [turn.text for turn in turns] == ["a b"]


def test_words_keep_their_times_from_the_turns_start():
    (first, second), _ = join(
        {"A": [word(2.0, 2.25, "well"), word(2.5, 3.0, "yes"), word(4, 5, "so")]}, "here"
    )
    assert [(w.text, w.start_s, w.end_s) for w in first.words] == [("well", 0.0, 0.25), ("yes", 0.5, 1.0)]
    assert [(w.text, w.start_s, w.end_s) for w in second.words] == [("so", 0.0, 1.0)]


def test_words_without_times_stay_beside_those_with():
    (turn,), _ = join({"A": [word(0.0, 1.0, "oh"), Unit(1.0, 2.0, "I see")]}, "here")
    assert [w.text for w in turn.words] == ["oh", "I", "see"] == turn.text.split()
    assert turn.words[1] == Word(text="I")
    (turn,), _ = join({"A": [Unit(1.0, 2.0, "I see")]}, "here")
    assert turn.words == ()


def test_a_word_of_no_length_stays_where_it_is():
    (turn,), skipped = join({"A": [word(0, 1, "a"), word(1, 1, "an"), word(1, 2, "b")]}, "here")
    assert (turn.text, skipped) == ("a an b", [])
    turns, skipped = join({"A": [word(3.0, 3.0, "lost")]}, "here.txt")
    assert (turns, skipped) == ((), ["here.txt, A: 'lost' at 3.0 s has no length"])


def test_nobody_overlaps_themselves_and_touching_is_no_overlap():
    turns = [Spoken("A", 0, 2), Spoken("A", 1, 3), Spoken("B", 3, 4), Spoken("A", 3.5, 5)]
    assert [turn.overlap for turn in mark_overlaps(reversed(turns))] == [False, False, False, True]


def test_nothing_gives_nothing():
    assert join({}, "here") == ((), [])
    assert join({"A": []}, "here") == ((), [])

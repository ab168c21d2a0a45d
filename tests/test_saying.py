"""What of a reply was heard before the user took the floor."""

from __future__ import annotations

import numpy as np
import pytest

from entrain.audio import Audio
from entrain.conversation import Piece
from entrain.mouth import Said
from entrain.saying import Saying


def sound(seconds: float) -> Audio:
    return Audio(np.full(round(seconds * 4000), 0.1, np.float32), 4_000)


def reply() -> Saying:
    saying = Saying()
    saying.add(Piece(0, "We open at nine.", sound(1)))
    saying.add(Piece(0, "We open at nine.", sound(1), sound(2.2), ("pitch: +.3 st off",)))
    saying.add(
        Piece(1, "On Sunday we open at ten in the morning.", sound(3), sound(3.3), ("pitch: +.3 st off",))
    )
    return saying


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        ({}, ""),
        ({0: 0.1}, ""),
        ({0: 0.5}, "We open"),
        ({0: 1.0}, "We open at nine."),
        ({0: 1.0, 1: 0.05}, "We open at nine."),
        ({0: 1.0, 1: 0.5}, "We open at nine. On Sunday we open"),
        ({0: 1.0, 1: 1.0}, "We open at nine. On Sunday we open at ten in the morning."),
    ],
)
def test_a_broken_off_sentence_has_the_words_of_its_share(shares: dict[int, float], said: str):
    assert reply().said(Said(sound(1), shares)) == said


def test_left_alone_it_is_cut_at_the_same_place():
    saying = reply()
    alone = saying.left_alone(Said(sound(1), {0: 1.0, 1: 0.5}))
    assert alone is not None
    assert alone.duration_s == pytest.approx(sound(2.2).duration_s + sound(3.3).duration_s / 2)


def test_what_is_not_known_of_every_sentence_is_not_known():
    saying = Saying()
    saying.add(Piece(0, "Yes.", sound(1)))
    assert saying.left_alone(Said(sound(1), {0: 1.0})) is None
    assert saying.left_alone(Said(sound(0), {})) is None


def test_a_note_is_made_once():
    assert reply().notes == ["pitch: +.3 st off"]

"""The simulator's equations, one property at a time."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from entrain_training.coupling import (
    ASKS,
    COUPLINGS,
    MAX_WORDS,
    WORDS,
    Coupling,
    manner,
    others,
    text_effect,
)

RNG = np.random.default_rng(0)
ALTERNATING = np.arange(30) % 2


def spoken(coupling: Coupling, speaker=ALTERNATING, habit=(0.0, 0.0), noise=None) -> np.ndarray:
    """u (T,) of one feature whose speakers begin at their habit; no noise unless given."""
    a = np.array(habit, float)[:, None]
    noise = np.zeros(len(speaker)) if noise is None else noise
    return manner(np.asarray(speaker), a, a, noise[:, None], coupling)[:, 0]


def test_a_speaker_alone_keeps_to_the_habit():
    assert spoken(Coupling(synchrony=0.5, convergence=0.5), np.zeros(9, int), (1.0,)) == pytest.approx(1.0)


def test_persistence_carries_a_turn_to_the_speakers_next_only():
    u = spoken(Coupling(persistence=0.5), noise=np.eye(30)[4])
    assert u[4:10] == pytest.approx([1, 0, 0.5, 0, 0.25, 0])


def test_synchrony_answers_how_the_others_last_turn_departs_from_their_level():
    u = spoken(Coupling(persistence=0.0, synchrony=0.4), noise=np.eye(30)[4])
    level = 1 / 4  # the third turn of that speaker, and one that counts for people in general
    assert u[5] == pytest.approx(0.4 * (1 - level))


def test_disentrainment_answers_the_other_way():
    assert spoken(Coupling(synchrony=-0.4), noise=np.eye(30)[4])[5] < 0


def test_convergence_closes_the_gap_as_the_conversation_goes_on():
    u = spoken(Coupling(convergence=0.5), np.arange(400) % 2, (1.0, -1.0))
    gap = u[::2] - u[1::2]
    assert gap[0] == pytest.approx(2, abs=0.1)
    assert (np.diff(gap[:20]) < 0).all()
    assert gap[-1] == pytest.approx(2 * 0.5 / 1.5, abs=0.05)  # (1 − κ) / (1 + κ) of it, where both give way


def test_without_coupling_no_speaker_answers_another():
    disturbed = np.where(ALTERNATING == 0, 5.0, 0.0)
    assert not spoken(COUPLINGS["none"], noise=disturbed)[1::2].any()


def test_the_other_is_whoever_else_spoke_last():
    assert others(np.array([2, 2, 0, 0, 1, 0, 2])).tolist() == [-1, -1, 2, 2, 0, 1, 0]
    assert others(np.array([], int)).shape == (0,)


def test_words_ask_of_each_feature_something_else():
    assert ASKS.shape == (len(WORDS), 7) == (len(set(WORDS)), 7)
    assert np.array_equal(ASKS.T @ ASKS, 32 * np.eye(7))
    assert not ASKS.sum(0).any()


def test_text_effects_have_the_share_of_the_variance_that_is_asked():
    texts = [" ".join(RNG.choice(WORDS, n)) for n in RNG.integers(1, MAX_WORDS, 8_000, endpoint=True)]
    assert text_effect(texts, Coupling(text=0.3)).var(0) == pytest.approx(0.3, rel=0.08)
    assert not text_effect(texts, Coupling(text=0)).any()


def test_words_are_found_in_any_text_and_unknown_ones_ask_for_nothing():
    one, both, none, nothing = text_effect(["well", "WELL, xylophones!", "xylophones", ""], Coupling())
    assert both == pytest.approx(one / 2)
    assert not none.any()
    assert not nothing.any()


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"persistence": 0.6, "synchrony": 0.5}, "run away"),
        ({"persistence": 0.6, "synchrony": -0.5}, "run away"),
        ({"offset": 0.6, "text": 0.5}, "varies from turn"),
        ({"missing": 1.0}, "less than or equal to 0.95"),
        ({"convergence": -0.1}, "greater than or equal to 0"),
        ({"synchrony": float("nan")}, "synchrony"),
        ({"sinchrony": 0.1}, "Extra inputs"),
    ],
)
def test_a_coupling_that_is_none_is_refused(values: dict[str, float], says: str):
    with pytest.raises(ValidationError, match=says):
        Coupling(**values)

"""Trivial predictors know the past and nothing else, and each is good at what it is for."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from simulated_runs import dialogue

from entrain_training.baselines import (
    DEPTH,
    PREDICTORS,
    Guess,
    fitted,
    history,
    smooth_l1,
    student_scale,
    trivial,
)
from entrain_training.pooled import Pooled


def talk(seed: int, n: int, own: float = 0.0, partner: float = 0.0, valid: float = 0.9) -> Pooled:
    """`n` conversations of 30 turns by two or three, whose z hang on the speaker's last turn and the last of whoever else spoke."""
    rng = np.random.default_rng(seed)
    found = []
    for i in range(n):
        speaker = rng.integers(0, 2 + i % 2, 30)
        z = rng.standard_normal((30, 7)) * np.sqrt(1 - own**2 - partner**2)
        for t in range(1, 30):
            mine, others = (np.flatnonzero((speaker[:t] == speaker[t]) == same) for same in (True, False))
            z[t] += sum(w * z[past[-1]] for w, past in ((own, mine), (partner, others)) if len(past))
        found.append(dialogue(speaker, z, rng.random(z.shape) < valid, id=f"{seed}-{i}"))
    return Pooled.of(found)


def losses(turns: Pooled, guesses: dict[str, Guess]) -> dict[str, float]:
    return {
        name: float(smooth_l1(turns.target - g.location)[turns.valid].mean()) for name, g in guesses.items()
    }


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 60), st.integers(1, 4), st.floats(0.1, 1))
def test_a_history_is_what_a_plain_loop_finds(seed: int, n_turns: int, n_speakers: int, share: float):
    rng = np.random.default_rng(seed)
    made = [
        dialogue([*rng.integers(0, n_speakers, n_turns).tolist(), 0], rng.standard_normal((n_turns + 1, 7)),
                 rng.random((n_turns + 1, 7)) < share, id=f"{i}")
        for i in range(3)
    ]  # fmt: skip
    turns = Pooled.of(made)
    for whose in ("own", "others"):
        found = history(turns, 3, whose)
        for row in range(len(turns)):
            d, t = made[turns.conversation[row]], turns.place[row]
            mine = d.speaker[:t] == d.speaker[t]
            past = d.z[:t, 3][d.valid[:t, 3] & (mine if whose == "own" else ~mine)][::-1]
            assert found.n[row] == len(past)
            assert found.mean[row] == pytest.approx(past.mean() if len(past) else 0.0, abs=1e-5)
            last = past[:DEPTH]
            assert found.values[row] == pytest.approx(np.pad(last, (0, DEPTH - len(last))))
            assert found.known[row].sum() == len(last)


def test_what_is_said_of_a_turn_hangs_on_the_turns_before_it_alone():
    train, dev, turns = talk(1, 20, 0.3, 0.3), talk(2, 5), talk(3, 6, 0.3, 0.3)
    rng = np.random.default_rng(0)
    later = [
        dataclasses.replace(d, **{
            name: np.concatenate([getattr(d, name)[:15], new]) for name, new in (
                ("z", rng.standard_normal((15, 7)).astype(np.float32)), ("valid", rng.random((15, 7)) < 0.5),
                ("target", np.full((15, 7), 9, np.float32)))
        })
        for d in turns.dialogues
    ]  # fmt: skip
    one, two = trivial(train, dev, turns), trivial(train, dev, Pooled.of(later))
    early = turns.place <= 15
    for name in PREDICTORS:
        assert np.array_equal(one[name].location[early], two[name].location[early]), name
        assert np.isfinite(two[name].location).all()
    assert not np.array_equal(one["own last"].location[~early], two["own last"].location[~early])


def test_what_hears_the_partner_only_does_not_hear_us():
    train, dev, turns = talk(1, 20, 0.3, 0.3), talk(2, 5), talk(3, 6)
    deaf = Pooled.of([
        dataclasses.replace(d, z=np.where((d.speaker == 0)[:, None], 9, d.z).astype(np.float32)) for d in turns.dialogues
    ])  # fmt: skip
    one, two = trivial(train, dev, turns), trivial(train, dev, deaf)
    speaker = np.concatenate([d.speaker for d in turns.dialogues])
    for name, whose in PREDICTORS.items():
        same = np.array_equal(one[name].location[speaker == 0], two[name].location[speaker == 0])
        assert same == ("own" not in whose), name


def test_each_is_good_at_what_it_is_for():
    train, dev = talk(1, 60, own=0.8), talk(2, 10, own=0.8)
    turns = talk(3, 30, own=0.8)
    own = losses(turns, trivial(train, dev, turns))
    assert own["own last"] < own["own mean"] < own["partner's last"]
    assert own["ridge on own"] < 0.9 * own["constant"] < own["ridge on partner"]
    turns = talk(3, 30, partner=0.8)
    partner = losses(turns, trivial(talk(1, 60, partner=0.8), talk(2, 10, partner=0.8), turns))
    assert partner["partner's last"] < 0.9 * partner["constant"]
    assert min(partner, key=lambda name: partner[name]) in {"ridge on partner", "ridge on both"}
    assert partner["boosting on both"] == pytest.approx(partner["boosting on partner"], rel=0.05)
    assert partner["boosting on both"] < 0.9 * partner["constant"]


def test_a_feature_with_too_few_values_is_not_fitted():
    turns = talk(1, 10)
    few = np.cumsum(turns.valid[:, 2]) <= 99
    lean = []
    for i, d in enumerate(turns.dialogues):
        valid = d.valid.copy()
        valid[:, 2] &= few[turns.conversation == i]
        valid[:, 5] = False
        lean.append(dataclasses.replace(d, valid=valid))
    train = Pooled.of(lean)
    assert fitted(train).tolist() == [True, True, False, True, True, False, True]
    guesses = trivial(train, train, turns)
    assert all((g.location[:, [2, 5]] == 0).all() and np.isfinite(g.location).all() for g in guesses.values())


def test_a_first_turn_is_said_to_be_typical():
    train = talk(1, 40)
    guesses = trivial(train, train, Pooled.of([dialogue([0], np.ones((1, 7)))]))
    typical = guesses["constant"].location
    for name in ("own mean", "own last", "own exponential average", "partner's last"):
        assert np.array_equal(guesses[name].location, typical)


def test_the_scale_is_the_likeliest():
    drawn = stats.t.rvs(5, scale=0.7, size=20_000, random_state=0)
    assert student_scale(drawn) == pytest.approx(0.7, rel=0.03)

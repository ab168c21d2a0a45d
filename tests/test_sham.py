"""Sham partners: ours stays, theirs is another's; and what a model loses by them tells whether it had learnt from partners."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_runs import WORDS, dialogue, parts, run

from entrain.weights import Trained
from entrain_training.data import Dialogue, Side, collate
from entrain_training.pooled import Pooled
from entrain_training.sham import KINDS, find_donors, sham, swap

ALL = np.ones(7, bool)
TEXTS = ("yes", "", "so we do it now", "well I never", "no")


def made(seed: int, n: int, id: str, n_speakers: int = 2) -> Dialogue:
    rng = np.random.default_rng(seed)
    z, valid = rng.standard_normal((n, 7)), rng.random((n, 7)) < 0.7
    texts = [str(text) for text in rng.choice(TEXTS, n)]
    d = dialogue([0, *rng.integers(0, n_speakers, n - 1)], z, valid, texts, id)
    heard = rng.integers(0, 4, n)
    mel = rng.standard_normal((heard.sum(), 160)).astype(np.float16)
    felt = rng.random((n, 3)).astype(np.float32)
    return dataclasses.replace(d, mel=mel, n_mel=heard, emotion=felt)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 10**6),
    st.integers(1, 30),
    st.integers(1, 30),
    st.integers(1, 4),
    st.sampled_from(list(KINDS)),
)
def test_ours_stays_and_theirs_is_the_donors(seed: int, n: int, n_donor: int, n_speakers: int, kind):
    d, donor = made(seed, n, "a", n_speakers), made(seed + 1, n_donor, "b", n_speakers)
    found = swap(Side(d, 0), Side(donor, 0), kind)
    theirs, source = np.flatnonzero(d.speaker != 0), np.flatnonzero(donor.speaker != 0)
    replaced = (
        dict(zip(theirs.tolist(), np.resize(source, len(theirs)).tolist(), strict=True))
        if len(source)
        else {}
    )
    for t in range(n):
        own, (other, at) = (found, t), (donor, replaced[t]) if t in replaced else (d, t)
        for name in ("z", "valid", "emotion"):
            assert np.array_equal(getattr(own[0], name)[t], getattr(other, name)[at])
        assert np.array_equal(turn_mel(found, t), turn_mel(other, at))
        whole = (other, at) if kind == "whole turns" else (d, t)
        for name in ("context", "shape", "n_words"):
            assert np.array_equal(getattr(found, name)[t], getattr(whole[0], name)[whole[1]])
        assert found.texts[t] == whole[0].texts[whole[1]]
        assert np.array_equal(found.rows[slice(*edges(found.n_words, t))], WORDS.find(found.texts[t])[0])
    assert np.array_equal(found.target, d.target)
    assert np.array_equal(found.speaker, d.speaker)
    collate([Side(found, 0)], WORDS)


def edges(lengths: np.ndarray, t: int) -> tuple[int, int]:
    return int(lengths[:t].sum()), int(lengths[: t + 1].sum())


def turn_mel(d: Dialogue, t: int) -> np.ndarray:
    return d.mel[slice(*edges(d.n_mel, t))]


def test_a_donor_is_of_the_same_corpus_and_knows_none_of_them():
    z = np.zeros((4, 7))
    dialogues = [
        dialogue([0, 1, 0, 1], z, id="a", names=("Ann", "Bob")),
        dialogue([0, 1, 0, 1], z, id="b", names=("Bob", "Cy")),
        dialogue([0, 1, 0, 1], z, id="c", names=("Dee", "Eve")),
        dialogue([0, 1, 0, 1], z, id="d", names=("Flo", "Gus"), corpus="other"),
        dialogue([0, 1, 0, 1], z, np.zeros((4, 7), bool), id="e", names=("Hal", "Ida")),
    ]
    assert find_donors(dialogues) == [[2], [2], [0, 1], [], [0, 1, 2]]


def test_who_has_no_donor_is_listed_and_not_counted():
    test = parts("none")["test"]
    alone = dataclasses.replace(test[0], corpus="alone")
    trained = Trained.load(run("none", epochs=0))
    rows, left_out = sham(trained, Pooled.of([*test, alone]), WORDS, ALL, 1)
    assert left_out == ["sham partners: 1 conversations of alone, beside which there is none of other people"]
    assert {row.corpus for row in rows} == {"all", "simulated-none"}
    assert {row.n_conversations for row in rows} == {len(test)}
    assert sham(trained, Pooled.of([alone]), WORDS, ALL, 1) == ([], left_out)


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_network_that_learnt_from_partners_loses_by_shams(kind: str):
    turns = Pooled.of(parts("strong")["test"])
    rows, left_out = sham(Trained.load(run("strong")), turns, WORDS, ALL, 5)
    row = next(row for row in rows if row.kind == kind)
    assert row.p < 0.01
    assert row.more_percent.low > 5
    assert row.sham > row.true
    assert not left_out


@pytest.mark.parametrize("kind", list(KINDS))
def test_where_nobody_entrains_shams_are_as_good(kind: str):
    turns = Pooled.of(parts("none")["test"])
    rows, _ = sham(Trained.load(run("none")), turns, WORDS, ALL, 5)
    row = next(row for row in rows if row.kind == kind)
    assert row.p > 0.05
    assert row.more_percent.low < 0


def test_the_same_seed_gives_the_same_shams():
    turns, trained = Pooled.of(parts("strong")["test"]), Trained.load(run("strong"))
    once, again, other = (sham(trained, turns, WORDS, ALL, 2, seed)[0] for seed in (1, 1, 2))
    assert once == again != other

"""Sham partners: our turns as they were, the partner's from a conversation with somebody else.

What a model loses by them is what it had from this partner. Two kinds, for two doubts: a partner who says the same words with another's
prosody (then text and prosody don't match, which alone may confuse), and one whose turns are another's altogether.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from entrain.turn import Finite, Record
from entrain.weights import Trained
from entrain.words import Words
from entrain_training.baselines import smooth_l1
from entrain_training.data import Dialogue, Side
from entrain_training.pooled import Bits, Pooled
from entrain_training.predict import predict, sides_of
from entrain_training.statistics import Estimate, Sums, estimate, sign_flip

N_SHUFFLES = 20

Kind = Literal["prosody", "whole turns"]
KINDS: dict[Kind, str] = {
    "prosody": "the words of the partner, with the prosody of somebody else's partner at the same place",
    "whole turns": "the turns of somebody else's partner: words, prosody and timing",
}


class Sham(Record):
    """The loss (smooth L1) beside sham partners, against the true ones."""

    kind: str
    corpus: str
    true: Finite
    sham: Finite
    """Mean over the shuffles."""
    more_percent: Estimate
    """How much higher the loss is beside sham partners."""
    p: Finite
    """One-sided, by sign-flips over conversations: that the sham loss is higher only by chance."""
    n: int
    n_conversations: int
    n_shuffles: int


def sham(
    trained: Trained, turns: Pooled, words: Words, features: Bits, n_shuffles: int = N_SHUFFLES, seed: int = 0
) -> tuple[list[Sham], list[str]]:
    """Both kinds, for each corpus and all, on our own turns, recorded, of `features` (7,); and what was left out."""
    donors = find_donors(turns.dialogues)
    sides = [(place, side) for place, side in sides_of(turns) if donors[place]]
    alone = [d.corpus for d, others in zip(turns.dialogues, donors, strict=True) if not others]
    left_out = [
        f"sham partners: {alone.count(corpus)} conversations of {corpus}, beside which there is none of other people"
        for corpus in sorted(set(alone))
    ]
    if not sides:
        return [], left_out
    true = _sums(trained, turns, sides, words, features)
    rows: list[Sham] = []
    for kind in KINDS:
        rng = np.random.default_rng(seed)
        drawn = (_draw(turns, sides, donors, kind, rng) for _ in range(n_shuffles))
        false = np.mean([_sums(trained, turns, each, words, features) for each in drawn], 0)
        rows += _compare(kind, turns.corpora, true, false, n_shuffles)
    return rows, left_out


def _compare(kind: Kind, corpora: list[str], true: Sums, false: Sums, n_shuffles: int) -> list[Sham]:
    """true, false (C, 2): loss and count of each conversation."""
    rows: list[Sham] = []
    names = sorted(set(corpora))
    for corpus in names if len(names) == 1 else ["all", *names]:
        chosen = (true[:, 1] > 0) & np.array([corpus in ("all", name) for name in corpora])
        if chosen.any():
            loss, count = true[chosen].T
            more = estimate(
                np.stack([false[chosen, 0], loss], 1), lambda s: 100 * (s[..., 0] / s[..., 1] - 1)
            )
            p = sign_flip(false[chosen, 0] - loss)[0]
            total = count.sum()
            rows.append(Sham(
                kind=kind, corpus=corpus, true=loss.sum() / total, sham=false[chosen, 0].sum() / total,
                more_percent=more, p=p, n=int(total), n_conversations=int(chosen.sum()), n_shuffles=n_shuffles,
            ))  # fmt: skip
    return rows


def _sums(
    trained: Trained, turns: Pooled, sides: Sequence[tuple[int, Side]], words: Words, features: Bits
) -> Sums:
    """Loss and count of each conversation's own turns: (C, 2)."""
    said = predict(trained, turns, sides, words, count="us")
    counted = turns.valid[said.turn] & features
    loss = np.where(counted, smooth_l1(turns.target[said.turn] - said.location), 0.0).sum(1)
    of = turns.conversation[said.turn]
    return np.stack([np.bincount(of, w, len(turns.dialogues)) for w in (loss, counted.sum(1))], 1)


def find_donors(dialogues: Sequence[Dialogue]) -> list[list[int]]:
    """For each conversation the places of those of the same corpus in which none of its speakers is, as far as names tell: a doctor of
    PriMock57 may be his own sham once in seven times, which makes the test milder, never stricter."""
    by_corpus: dict[str, list[int]] = defaultdict(list)
    for place, d in enumerate(dialogues):
        by_corpus[d.corpus].append(place)
    people = [set(d.names) for d in dialogues]
    return [
        [other for other in by_corpus[d.corpus] if dialogues[other].sides() and not people[place] & people[other]]
        for place, d in enumerate(dialogues)
    ]  # fmt: skip


def _draw(
    turns: Pooled, sides: Sequence[tuple[int, Side]], donors: list[list[int]], kind: Kind, rng: np.random.Generator
) -> list[tuple[int, Side]]:  # fmt: skip
    drawn: list[tuple[int, Side]] = []
    for place, side in sides:
        donor = turns.dialogues[int(rng.choice(donors[place]))]
        other = Side(donor, int(rng.choice(donor.sides())))
        drawn.append((place, replace(side, dialogue=swap(side, other, kind))))
    return drawn


def swap(side: Side, donor: Side, kind: Kind) -> Dialogue:
    """The side's conversation, in which the k-th turn that is not ours is the k-th that is not the donor's. Where the donor's partner
    has fewer turns, they begin again; where there are none, all stays as it is."""
    d, other = side.dialogue, donor.dialogue
    theirs, source = (s.dialogue.speaker != s.us for s in (side, donor))
    if not source.any():
        return d
    take = np.arange(len(d))  # of d's turns, followed by the donor's
    take[theirs] = len(d) + np.resize(source.nonzero()[0], int(theirs.sum()))

    def each(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(d, name), getattr(other, name)])[take]

    def packed(name: str, lengths: str) -> NDArray[Any]:
        return _gather(np.concatenate([getattr(d, name), getattr(other, name)]),
                       np.concatenate([getattr(d, lengths), getattr(other, lengths)]), take)  # fmt: skip

    prosody = {name: each(name) for name in ("z", "valid", "emotion", "n_mel")}
    prosody["mel"] = packed("mel", "n_mel")
    if kind == "prosody":
        return replace(d, **prosody)
    words = {name: each(name) for name in ("context", "shape", "n_words")}
    words |= {name: packed(name, "n_words") for name in ("rows", "forms")}
    texts = (*d.texts, *other.texts)
    return replace(d, **prosody, **words, texts=tuple(texts[i] for i in take))


def _gather(flat: NDArray[Any], lengths: NDArray[np.int64], take: NDArray[np.int64]) -> NDArray[Any]:
    """The elements of the sequences `take`, of sequences that lie one after the other."""
    start, n = (lengths.cumsum() - lengths)[take], lengths[take]
    within = np.arange(n.sum()) - np.repeat(n.cumsum() - n, n)
    return flat[np.repeat(start, n) + within]

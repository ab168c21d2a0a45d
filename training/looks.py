"""What a model looked at: for a handful of turns, the earlier turns and the words that its attention weighed; and its course beside the
true one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from entrain.model import Likelihood
from entrain.turn import FEATURES, Finite, Record
from entrain.weights import Trained
from entrain.words import Words, kept_tokens
from entrain_training.calibration import half_width
from entrain_training.data import Dialogue, Side, collate
from entrain_training.pooled import Bits, Pooled
from entrain_training.predict import Predictions

N_LOOKS, N_SHOWN = 6, 6
MIN_BEFORE, MIN_WORDS = 8, 5  # of a turn worth looking at
N_COURSES, COURSE_TURNS, BAND = 3, 80, 0.8


class Weighed(Record):
    """A word, and the share of its turn's attention that it got; None where the variant reads no words."""

    word: str
    weight: Finite | None


class Seen(Record):
    """An earlier turn, and the share of the attention over turns that it got."""

    number: int
    own: bool
    weight: Finite
    words: tuple[Weighed, ...]


class Look(Record):
    """One of our turns as the model foresaw it. Turns are numbered from 0."""

    corpus: str
    conversation: str
    number: int
    words: tuple[Weighed, ...]
    predicted: dict[str, Finite]
    true: dict[str, Finite]
    no_turn: Finite | None
    """Attention on "no turn"; None where the variant has none over turns."""
    others: Finite
    """Attention on the turns that aren't shown."""
    turns: tuple[Seen, ...]
    """Those with the most attention, in order."""


class Course(Record):
    """One feature of one speaker through a conversation."""

    corpus: str
    conversation: str
    speaker: str
    feature: str
    number: tuple[int, ...]
    true: tuple[Finite, ...]
    predicted: tuple[Finite, ...]
    half_width: tuple[Finite, ...] | None
    """Of the interval that should hold 80 %; None where no scale is predicted."""


def looks(trained: Trained, turns: Pooled, words: Words, features: Bits, seed: int = 0) -> list[Look]:
    """Of turns with 8 turns before them and 5 words, drawn from every corpus in turn."""
    rng = np.random.default_rng(seed)
    worth = (turns.place >= MIN_BEFORE) & (turns.n_words >= MIN_WORDS) & (turns.valid & features).any(1)
    corpora = np.array(turns.corpora)[turns.conversation]
    drawn = [rng.permutation((worth & (corpora == name)).nonzero()[0]) for name in sorted(set(turns.corpora))]
    rounds = [int(queue[i]) for i in range(N_LOOKS) for queue in drawn if i < len(queue)]
    return [_look(trained, turns, words, features, turn) for turn in rounds[:N_LOOKS]]


@torch.no_grad()
def _look(trained: Trained, turns: Pooled, words: Words, features: Bits, turn: int) -> Look:
    d, t = turns.dialogues[turns.conversation[turn]], int(turns.place[turn])
    us = int(d.speaker[t])
    predicted = trained.model.eval()(collate([Side(d, us, 0, t + 1)], words), trained.model.config.eval_on)
    over_turns, over_words = predicted.over_turns[0, :, t], predicted.over_words.numpy()
    weights = over_turns.mean(0).numpy() if len(over_turns) else np.zeros(t + 1)
    most = np.sort(np.argsort(-weights[1:], kind="stable")[:N_SHOWN]) if len(over_turns) else np.zeros(0, int)
    known = [(i, name) for i, name in enumerate(FEATURES) if turns.valid[turn, i] and features[i]]
    return Look(
        corpus=d.corpus, conversation=d.id, number=t, words=_weighed(d, t, over_words),
        predicted={name: float(predicted.location[0, t, i]) for i, name in known},
        true={name: float(d.target[t, i]) for i, name in known},
        no_turn=float(weights[0]) if len(over_turns) else None,
        others=max(0.0, float(weights[1:].sum() - weights[1:][most].sum())),
        turns=tuple(
            Seen(number=i, own=bool(d.speaker[i] == us), weight=float(weights[1 + i]), words=_weighed(d, i, over_words))
            for i in most.tolist()
        ),
    )  # fmt: skip


def _weighed(d: Dialogue, t: int, over_words: np.ndarray) -> tuple[Weighed, ...]:
    found, start = kept_tokens(d.texts[t]), int(d.n_words[:t].sum())
    weights = over_words[start : start + len(found)].tolist() if len(over_words) else [None] * len(found)
    return tuple(Weighed(word=word, weight=weight) for word, weight in zip(found, weights, strict=True))


def courses(turns: Pooled, predictions: Predictions, likelihood: Likelihood, features: Bits) -> list[Course]:
    """Of the speaker with most values in the first conversations of each corpus, the feature measured most: up to 80 turns."""
    counted = turns.valid[predictions.turn] & features & predictions.own[:, None]
    i = int(counted.sum(0).argmax())
    rows = counted[:, i].nonzero()[0]
    rows = rows[np.argsort(predictions.turn[rows], kind="stable")]
    turn = predictions.turn[rows]
    conversation = turns.conversation[turn]
    found: list[Course] = []
    for place in _first_of_each(turns.corpora, set(conversation.tolist())):
        speaker = turns.speaker[turn]
        busiest = np.bincount(speaker[conversation == place]).argmax()
        mine = (speaker == busiest).nonzero()[0][:COURSE_TURNS]
        d, row = turns.dialogues[place], rows[mine]
        wide = half_width(likelihood, BAND) * predictions.scale[row, i]
        found.append(Course(
            corpus=d.corpus, conversation=d.id, speaker=d.names[int(d.speaker[turns.place[turn[mine[0]]]])],
            feature=FEATURES[i], number=tuple(turns.place[turn[mine]].tolist()),
            true=tuple(turns.target[turn[mine], i].tolist()), predicted=tuple(predictions.location[row, i].tolist()),
            half_width=None if likelihood == "smooth_l1" else tuple(wide.tolist()),
        ))  # fmt: skip
    return found


def _first_of_each(corpora: Sequence[str], there: set[int]) -> list[int]:
    """Places of conversations: the first of each corpus, then the second of each …"""
    seen: dict[str, int] = {}
    order: list[tuple[int, str, int]] = []
    for place in sorted(there):
        seen[corpora[place]] = seen.get(corpora[place], 0) + 1
        order.append((seen[corpora[place]], corpora[place], place))
    return [place for _, _, place in sorted(order)[:N_COURSES]]

"""The trained model as a strategy: where it is confident it decides, elsewhere the weighted strategy does.

What is predicted is how the conversation moves the way this very reply is said: the model's location given the turns as they sounded, less
that given the same turns had all sounded as their speakers usually do (and nobody had judged their emotions). So words that everybody says slowly are not slowed twice (the
voice says them slowly already), and the other sign is disentrainment. `anchor="voice"` gives the plain location.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from entrain.history import History
from entrain.model import Foresight, Now, State, context_of, emotion_of, shape_of
from entrain.strategy import Looked, Prediction, Strategy, Weighted
from entrain.turn import FEATURES, Turn, Vector
from entrain.weights import Trained, silent
from entrain.words import Words, kept_tokens

RESUMED_TURNS = 200  # of a conversation that is taken up again: the last ones are encoded, in .4 s


@dataclass
class Followed:
    """One conversation as the model has heard it so far. `state` is of two: as it was, and as if all turns had sounded as usual."""

    n_turns: int
    state: State


class Neural:
    """A strategy (`entrain.strategy.Strategy`). Each turn is encoded once, when it is followed or the next reply is planned; a reply costs one step."""

    name = "neural"

    def __init__(
        self, trained: Trained | str | Path | None = None, words: Words | str | Path | None = None,
        otherwise: Strategy | None = None, anchor: Literal["sentence", "voice"] = "sentence",
    ) -> None:  # fmt: skip
        """`trained`: a model, its folder, or None for the one that ships. `words`: its vectors, or their file. Raises `WeightsError`
        where they do not belong together."""
        self.trained = trained if isinstance(trained, Trained) else Trained.load(trained)
        self.words = words if isinstance(words, Words) else Words.load(words)
        self.trained.check_words(self.words)
        self.otherwise, self.anchor = otherwise or Weighted(), anchor
        self._usually = self.trained.scales or tuple((scale,) for scale in self.trained.usual)
        self._live: weakref.WeakKeyDictionary[History, Followed] = weakref.WeakKeyDictionary()
        self._lock = threading.Lock()

    def predict(self, history: History, text: str) -> Prediction:
        """The model's aims by its confidence, the other strategy's by the rest."""
        simple = self.otherwise.predict(history, text)
        location, trust = self.foresee(history, text)
        return Prediction(trust * location + (1 - trust) * simple.z, trust + (1 - trust) * simple.confidence)

    def foresee(self, history: History, text: str) -> tuple[Vector, Vector]:
        """The model alone: z (7,) and its confidence (7,): the share of its predictions for people whom it did not know that were less
        sure than this one; 0 for features that it has not learnt, or not heard of this user."""
        with self._lock, torch.inference_mode():
            followed = self._follow(history)
            found = self.trained.model.foresee(followed.state, _twice(self._now(text, us=True)), encoded=True)
            heard, usual = found.location.double().numpy()  # (7,) each
            location = heard - usual if self.anchor == "sentence" else heard
        learnt = np.array([self.trained.learnt[name] != "no" for name in FEATURES]) & (
            np.array(history.user.n) > 0
        )
        trust = np.array([surer(*of) for of in zip(_floats(found.scale[0]), self._usually, strict=True)])
        return location * learnt, trust * learnt

    def follow(self, history: History) -> None:
        """Read the turns that are new, so that the next reply need not wait for it."""
        with self._lock, torch.inference_mode():
            self._follow(history)

    def look(self, turns: Sequence[Turn]) -> dict[int, Looked]:
        """Where the model looks for each of the agent's turns in a conversation, by their place: what a report shows."""
        found: dict[int, Looked] = {}
        with torch.inference_mode():
            state = self.trained.model.start()
            for place, turn in enumerate(turns):
                now = self._of(turn)
                foreseen = self.trained.model.foresee(state, now, encoded=True)
                if turn.speaker == "agent":
                    found[place] = _looked(foreseen, turn.text)
                state = self.trained.model.observe(state, now, foreseen, encoded=True)
        return found

    def _follow(self, history: History) -> Followed:
        """The state after all turns so far; only those that are new are encoded."""
        followed = self._live.get(history)
        if followed is None or not history.n_forgotten <= followed.n_turns <= len(history):
            first = max(history.n_forgotten, len(history) - RESUMED_TURNS)
            followed = self._live[history] = Followed(first, self.trained.model.start(2))
        model = self.trained.model
        for turn in history.turns[followed.n_turns - history.n_forgotten :]:
            now = _twice(self._of(turn))
            foreseen = model.foresee(followed.state, now, encoded=True)
            followed.state = model.observe(followed.state, now, foreseen, encoded=True)
            followed.n_turns += 1
        return followed

    def _of(self, turn: Turn) -> Now:
        """A turn as it was heard; the agent's own as it was realised."""
        of, overlap = turn.features, turn.latency_s is not None and turn.latency_s < 0
        return self._now(turn.text, turn.speaker == "agent")._replace(
            z=_row([v or 0.0 for v in turn.z]),
            valid=_row([float(v is not None) for v in turn.z]),
            context=_row(context_of(of.duration_s, of.pause_ratio, turn.latency_s, overlap)),
            emotion=_row(emotion_of(turn.emotion, self.trained.model.config.emotion)),
        )

    def _now(self, text: str, us: bool) -> Now:
        """Only the text is known; its words are encoded."""
        model, words = self.trained.model, torch.tensor(self.words.encode(text))
        now, yes = silent(model, 1), torch.full((1,), float(us))
        none = torch.zeros(1, dtype=torch.long)
        n_words = none + len(words)
        words, mel = model.encode(words if len(words) else now.words, n_words, now.mel, none)
        on = torch.ones(1) if model.config.eval_on == "both" else yes
        return now._replace(
            words=words, n_words=n_words, mel=mel, n_mel=none, us=yes, on=on, shape=_row(shape_of(text))
        )


def _twice(now: Now) -> Now:
    """The turn, its words encoded, as it was and as if it had sounded as usual (z = 0, and of no emotion that is known)."""
    of_both = {name: value.repeat(2, *(1,) * (value.dim() - 1)) for name, value in now._asdict().items()}
    usual = {
        name: torch.cat([of, torch.zeros_like(of)]) for name, of in (("z", now.z), ("emotion", now.emotion))
    }
    both = Now(**of_both)._replace(**usual)
    # Of a turn without words (or sound) one row stands for none.
    return both._replace(
        words=both.words[: max(1, 2 * int(now.n_words))], mel=both.mel[: max(1, 2 * int(now.n_mel))]
    )


def surer(scale: float, usually: Sequence[float]) -> float:
    """The share of scales that are larger than this one, where `usually` parts them in equal shares (deciles, or just the middle)."""
    smaller = np.arange(len(usually) + 2) / (len(usually) + 1)
    widest = 2 * usually[-1] - usually[0]  # beyond the last decile as far again
    return 1 - float(np.interp(scale, (0.0, *usually, max(widest, usually[-1] + 1e-6)), smaller))


def _row(values: object) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)[None]


def _looked(foreseen: Foresight, text: str) -> Looked:
    over_turns = foreseen.over_turns[0]  # (A, J + 1)
    turns = _floats(over_turns.mean(0)[1:]) if len(over_turns) else []
    words, weights = kept_tokens(text), _floats(foreseen.over_words)
    return Looked(tuple(turns), tuple(zip(words, weights, strict=True)) if words and weights else ())


def _floats(values: Tensor) -> list[float]:
    return [float(value) for value in values]

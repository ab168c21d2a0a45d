"""What a model says of every turn of some conversations, from every side, with our turns as recorded or as it said them itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from entrain.model import Predicted, Whose
from entrain.weights import Trained
from entrain.words import Words
from entrain_training.data import Array, Side, bounded, collate
from entrain_training.pooled import Bits, Places, Pooled

MAX_PAIRS = 4_000_000  # of turns that look at one another in a batch: 16 MB for each attention
MAX_LAG = 20

Sums = NDArray[np.float64]


@dataclass(frozen=True)
class Predictions:
    """R predictions: each turn once for each side that counts it."""

    turn: Places  # (R,) of the pooled turns
    own: Bits  # (R,) True where it is a turn of ours
    location: Array  # (R, 7)
    scale: Array  # (R, 7)
    lags: Lags


@dataclass
class Lags:
    """Attention over turns by distance: how much our turns look at turns 1 to 20 before them, of those with 20 before them.

    As multiples of an even look: a turn gets less of the attention the more turns there are, so plain means would mostly tell who
    speaks when in long conversations."""

    times_even: Sums = field(default_factory=lambda: np.zeros((2, MAX_LAG)))  # sums, on ours and on partners'
    count: Sums = field(default_factory=lambda: np.zeros((2, MAX_LAG)))  # of what they are sums of
    share: Sums = field(default_factory=lambda: np.zeros(2))  # sums of plain attention, within lag 20
    nothing: float = 0.0  # on "no turn"
    n: int = 0  # turns that look

    def add(self, over_turns: torch.Tensor, us: torch.Tensor, chosen: torch.Tensor) -> None:
        """over_turns (B, A, T, T + 1), us (B, T), chosen (B, T): who looks."""
        n_attended, n_turns = over_turns.shape[1:3]
        looking = chosen.clone()
        looking[:, :MAX_LAG] = False
        if not n_attended or n_turns <= MAX_LAG:
            return
        weight = over_turns.mean(1) * looking[..., None]  # (B, T, T + 1)
        even = torch.arange(1, n_turns + 1)  # places to look at: the turns before, and "no turn"
        for lag in range(1, MAX_LAG + 1):
            given = torch.diagonal(weight[..., 1:], -lag, 1, 2)  # (B, T − lag)
            for row, who in enumerate((us[:, :-lag], ~us[:, :-lag])):
                self.share[row] += float((given * who).sum())
                self.times_even[row, lag - 1] += float((given * even[lag:] * who).sum())
                self.count[row, lag - 1] += float((looking[:, lag:] & who).sum())
        self.nothing += float(weight[..., 0].sum())
        self.n += int(looking.sum())

    def summary(self) -> dict[str, object] | None:
        """Mean multiples, of one of our own turns and one of the partner's, at each lag from 1 on; shares of the whole attention. None
        where the variant has no attention, or no conversation is longer than 20 turns."""
        if not self.n:
            return None
        own, partner = (
            [float(total / n) if n else None for total, n in zip(*rows, strict=True)]
            for rows in zip(self.times_even, self.count, strict=True)
        )
        shares = self.share / self.n
        return {
            "own": own, "partner": partner, "n": self.n, "own_share": float(shares[0]), "partner_share": float(shares[1]),
            "no_turn_share": self.nothing / self.n, "further_share": max(0.0, 1 - self.nothing / self.n - float(shares.sum())),
        }  # fmt: skip


@torch.no_grad()
def predict(
    trained: Trained, turns: Pooled, sides: Sequence[tuple[int, Side]], words: Words, *, free: bool = False,
    count: Whose | None = None,
) -> Predictions:  # fmt: skip
    """Predictions of the turns that the config's `eval_loss_on` names (or `count`), of sides given with their conversation's place in
    `turns`. `free`: turns of ours enter as the model itself said them."""
    model, config = trained.model.eval(), trained.model.config
    whose = count or config.eval_loss_on
    found: list[tuple[NDArray[np.generic], ...]] = []
    lags = Lags()
    for group in bounded(sides, MAX_PAIRS, lambda of: len(of[1]), power=2):
        batch = collate([side for _, side in group], words)
        fed = model.free_run(batch, 0.0, config.eval_on) if free else batch
        predicted: Predicted = model(fed, config.eval_on)
        lags.add(predicted.over_turns, batch.us, batch.counted(config.eval_on))
        row, place = (i.numpy() for i in batch.counted(whose).nonzero(as_tuple=True))
        first = turns.first[[conversation for conversation, _ in group]]
        parts = (predicted.location[row, place], predicted.scale[row, place], batch.us[row, place])
        found.append((first[row] + place, *(part.numpy() for part in parts)))
    if not found:
        raise ValueError("there is no side to predict: no conversation has a turn with a measured feature.")
    turn, location, scale, own = (np.concatenate(part) for part in zip(*found, strict=True))
    return Predictions(turn, own, location, scale, lags)


def sides_of(turns: Pooled) -> list[tuple[int, Side]]:
    """Every conversation from the side of everyone in it, whole, with its place."""
    return [(place, Side(d, us)) for place, d in enumerate(turns.dialogues) for us in d.sides()]

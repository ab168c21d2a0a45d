"""The best prediction possible of a simulated conversation, by a Kalman filter; and trivial ones to set beside it.

The state of each feature is every speaker's habit a, last manner u and level h (see `coupling.py`). A turn moves its speaker's u and h
by a linear map; what is measured of it is u and the words' share. The filter gives the exact mean and spread of each turn, given all
that was measured before it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from entrain_training.coupling import Array, Bits, Coupling, Simulated, Who, others, text_effect

Scalar = TypeVar("Scalar", np.float64, np.bool_, np.int64)
Sees = Literal["reply", "past", "none"]
"""The texts that a predictor sees: also that of the turn it predicts, only those before, or none."""


class Predicted(NamedTuple):
    """Each turn's prediction from what was heard before it."""

    mean: Array  # (T, 7)
    sd: Array  # (T, 7), above 0


def optimal(
    conversations: Sequence[Simulated],
    coupling: Coupling,
    *,
    unheard: tuple[int, ...] = (),
    sees: Sees = "reply",
) -> list[Predicted]:
    """The Bayes-optimal prediction of every turn. The turns of `unheard` speakers are never heard: (us,) gives the optimum of a
    model that is fed its own output in place of our turns. With `sees="none"` it is the best *linear* prediction, since
    unseen words are not Gaussian."""
    if not conversations:
        return []
    T = max(len(c.speaker) for c in conversations)
    effects = [text_effect(c.text, coupling) for c in conversations]
    z, effect = _padded([c.z for c in conversations], T), _padded(effects, T)  # (B, T, 7)
    heard = _padded([c.valid & ~np.isin(c.speaker, unheard)[:, None] for c in conversations], T)
    speaker = _padded([c.speaker for c in conversations], T)  # (B, T)
    other = _padded([others(c.speaker) for c in conversations], T)
    if sees == "none":
        mean, variance = _filter(z, heard, speaker, other, coupling, coupling.text)
    else:
        mean, variance = _filter(z - effect, heard, speaker, other, coupling, 0.0)
    if sees == "reply":
        mean += effect
    else:
        variance += coupling.text
    return [
        Predicted(m[: len(c.z)], np.sqrt(v[: len(c.z)]))
        for m, v, c in zip(mean, variance, conversations, strict=True)
    ]


def _filter(
    y: Array, heard: Bits, speaker: Who, other: Who, coupling: Coupling, words: float
) -> tuple[Array, Array]:
    """Mean and variance of u before each turn, both (B, T, F), from y (B, T, F) = u + noise of variance `words`, where it is `heard`.

    State (B, F, D): a of the S speakers, their u, their h; D = 3S.
    """
    B, T, F = y.shape
    S = int(speaker.max()) + 1
    mean, variance = np.empty_like(y), np.empty_like(y)
    state, spread = np.zeros((B, F, 3 * S)), np.tile(_prior(S, coupling), (B, F, 1, 1))
    n_turns = np.zeros((B, S), np.int64)
    for t in range(T):
        step, noise = _step(speaker[:, t], other[:, t], n_turns, coupling)
        state = np.einsum("bij,bfj->bfi", step, state)
        spread = step[:, None] @ spread @ step[:, None].swapaxes(2, 3) + noise[:, None]
        u = S + speaker[:, t, None, None]  # (B, 1, 1), where in the state the speaker's u is
        covariance = np.take_along_axis(spread, u[..., None], 3)[..., 0]  # (B, F, D), of u with everything
        mean[:, t] = np.take_along_axis(state, u, 2)[..., 0]
        variance[:, t] = np.take_along_axis(covariance, u, 2)[..., 0]
        gain = np.where(heard[:, t, :, None], covariance / (variance[:, t, :, None] + words), 0.0)
        state += gain * (y[:, t] - mean[:, t])[..., None]
        spread -= gain[..., :, None] * covariance[..., None, :]
        n_turns[np.arange(B), speaker[:, t]] += 1
    return mean, variance


def _prior(S: int, coupling: Coupling) -> Array:
    """Covariance of the state before the conversation, (D, D): u = a + drift, h = 0."""
    spread: Array = np.zeros((3, 3))
    spread[:2, :2] = coupling.offset
    spread[1, 1] += coupling.drift
    return np.kron(spread, np.eye(S))


def _step(speaker: Who, other: Who, n_turns: Who, coupling: Coupling) -> tuple[Array, Array]:
    """How a turn moves the state, and the covariance of what it adds; both (B, D, D). `n_turns` (B, S): before it."""
    B, S = n_turns.shape
    b, a, u, h = np.arange(B), speaker, S + speaker, 2 * S + speaker
    pull = np.where(other >= 0, coupling.pull(n_turns[b, other]), 0.0)
    synchrony = np.where(other >= 0, coupling.synchrony, 0.0)
    to_u = np.zeros((B, 3 * S))
    to_u[b, a] = (1 - coupling.persistence) * (1 - pull)
    to_u[b, u] = coupling.persistence
    to_u[b, S + other] += synchrony  # where there is no other these add 0
    to_u[b, 2 * S + other] += (1 - coupling.persistence) * pull - synchrony
    weight = 1 / (n_turns[b, speaker] + 2)[:, None]
    step = np.tile(np.eye(3 * S), (B, 1, 1))
    step[b, u] = to_u
    step[b, h] = (1 - weight) * step[b, h] + weight * to_u
    added = np.zeros((B, 3 * S))
    added[b, u], added[b, h] = 1.0, weight[:, 0]
    return step, coupling.noise * added[:, :, None] * added[:, None, :]


def trivial(conversation: Simulated, unheard: tuple[int, ...] = ()) -> dict[str, Array]:
    """Predictors that know nothing of coupling, each (T, 7): from measured values before the turn, 0 where there are none."""
    names = ("0", "own last", "own mean", "partner's last", "partner's mean")
    found = {name: np.zeros_like(conversation.z) for name in names}
    S, F = int(conversation.speaker.max()) + 1, conversation.z.shape[1]
    last, total, n = np.zeros((3, S + 1, F))
    for t, (s, o) in enumerate(zip(conversation.speaker, others(conversation.speaker), strict=True)):
        mean = total / np.maximum(n, 1)
        for name, values, who in zip(names[1:], (last, mean, last, mean), (s, s, o, o), strict=True):
            found[name][t] = values[who]  # o = −1, nobody: the last row, which stays 0
        if s not in unheard:
            ok = conversation.valid[t]
            last[s, ok] = conversation.z[t, ok]
            total[s] += np.where(ok, conversation.z[t], 0.0)
            n[s] += ok
    return found


def score(
    conversations: Sequence[Simulated], coupling: Coupling, *, hear_own: bool = True
) -> dict[str, dict[str, float]]:
    """Predictor → its `losses` on what was measured of our turns, each of two speakers being *us* in turn. Without `hear_own` no
    prediction rests on our own turns.

    "Deaf to the partner" is the best that a network can do which has learnt no entrainment: to be near the optimum is no proof of
    any where this is as near (moderate coupling: 2.7 % of smooth L1, or 4.1 % without `hear_own`)."""
    errors: dict[str, list[Array]] = defaultdict(list)
    spreads: dict[str, list[Array]] = defaultdict(list)
    for us in (0, 1):
        own = () if hear_own else (us,)
        ways = {
            "optimal": optimal(conversations, coupling, unheard=own),
            "optimal, reply's words unseen": optimal(conversations, coupling, unheard=own, sees="past"),
            "optimal, all words unseen": optimal(conversations, coupling, unheard=own, sees="none"),
            "optimal, deaf to the partner": optimal(conversations, coupling, unheard=(*own, 1 - us)),
        }
        for b, c in enumerate(conversations):
            ours = c.valid & (c.speaker == us)[:, None]
            for name, predicted in ways.items():
                errors[name].append((c.z - predicted[b].mean)[ours])
                spreads[name].append(predicted[b].sd[ours])
            for name, mean in trivial(c, own).items():
                if hear_own or not name.startswith("own"):
                    errors[name].append((c.z - mean)[ours])
    return {
        name: losses(np.concatenate(found), np.concatenate(spreads[name]) if name in spreads else None)
        for name, found in errors.items()
    }


def losses(error: Array, sd: Array | None = None) -> dict[str, float]:
    """Mean smooth L1 (β 1), mean absolute error and Gaussian negative log-likelihood (nats) of errors of any shape. Without `sd` the
    likelihood is that of their own root mean square."""
    size = np.abs(error)
    spread = np.sqrt(np.mean(error**2)) if sd is None else sd
    nll = 0.5 * (error / spread) ** 2 + np.log(spread) + 0.5 * np.log(2 * np.pi)
    return {
        "smooth L1": float(np.mean(np.where(size < 1, 0.5 * size**2, size - 0.5))),
        "MAE": float(np.mean(size)),
        "NLL": float(np.mean(nll)),
    }


def _padded(arrays: Sequence[NDArray[Scalar]], T: int) -> NDArray[Scalar]:
    """(T_b, …) each → (B, T, …); what is added is 0, or False."""
    return np.stack([np.pad(a, [(0, T - len(a)), *[(0, 0)] * (a.ndim - 1)]) for a in arrays])

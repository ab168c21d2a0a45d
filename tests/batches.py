"""Conversations at random for tests of the network, with noise wherever the network must not look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from importlib.util import find_spec

import torch
from torch import Tensor

from entrain.model import CONTEXT, MEL_BANDS, SHAPE, Batch, Model, ModelConfig, N, Predicted, Turns, Whose

WORD_DIM, HIDDEN, WORD_HIDDEN = (
    11,
    12,
    5,
)  # each unlike the others, and unlike 7 features, 4 of context, 3 of shape
LABELS = ("angry", "happy", "neutral", "sad", "tired")


def config_of(variant: str, **changes: object) -> ModelConfig:
    """Small, with sizes that differ."""
    sizes = {"hidden": HIDDEN, "word_hidden": WORD_HIDDEN, "word_dim": WORD_DIM}
    return ModelConfig.of(variant, **sizes | changes)


def model_of(variant: str, seed: int = 0, **changes: object) -> Model:
    """In double precision, so that equal means equal, and without dropout; the past fades, as it may after training."""
    torch.manual_seed(seed)
    model = Model(config_of(variant, **changes))
    if model.config.attention != "none":
        torch.nn.init.normal_(model.fading)
    return model.double().eval()


def batch_of(*n_turns: int, seed: int = 0) -> Batch:
    """A conversation of each length. Values that are not valid and all of the padding are noise, texts and sounds there too."""
    draw = torch.Generator().manual_seed(seed)
    b, t = len(n_turns), max(n_turns)
    real = torch.arange(t) < torch.tensor(n_turns)[:, None]

    def noise(*size: int) -> Tensor:
        return torch.randn(size, generator=draw, dtype=torch.float64)

    n_words, n_mel = (torch.randint(0, most, (b, t), generator=draw) for most in (7, 5))
    return Batch(
        z=noise(b, t, N), valid=noise(b, t, N) > -0.8, target=noise(b, t, N), us=noise(b, t) > 0, real=real,
        context=noise(b, t, len(CONTEXT)), emotion=emotions(b, t, draw), shape=noise(b, t, len(SHAPE)),
        words=noise(int(n_words.sum()), WORD_DIM), n_words=n_words,
        mel=noise(int(n_mel.sum()), MEL_BANDS), n_mel=n_mel,
    )  # fmt: skip


def emotions(b: int, t: int, draw: torch.Generator) -> Tensor:
    """(b, t, 6): noise where not known, too."""
    noise = torch.randn((b, t, len(LABELS) + 1), generator=draw, dtype=torch.float64)
    return torch.cat([noise[..., 1:], (noise[..., :1] > -0.3).double()], -1)


def kept(batch: Batch, keep: Tensor) -> tuple[Tensor, Tensor]:
    """The words and the Mel vectors of the turns in `keep` (B, T)."""
    of_words, of_mel = (
        torch.repeat_interleave(keep.flatten(), n.flatten()) for n in (batch.n_words, batch.n_mel)
    )
    return batch.words[of_words], batch.mel[of_mel]


def alone(batch: Batch, i: int, n_turns: int | None = None) -> Batch:
    """Conversation i by itself: its real turns, or the first `n_turns` of them."""
    n = int(batch.real[i].sum()) if n_turns is None else n_turns
    keep = torch.zeros_like(batch.real)
    keep[i, :n] = True
    words, mel = kept(batch, keep)
    of_turn = {
        f.name: getattr(batch, f.name)[i : i + 1, :n] for f in fields(Batch) if f.name not in ("words", "mel")
    }
    return Batch(words=words, mel=mel, **of_turn)


def reordered(batch: Batch, order: Sequence[int]) -> Batch:
    """The conversations in another order."""
    flat = {
        name: torch.cat([getattr(batch, name).split(lengths.sum(1).tolist())[i] for i in order])
        for name, lengths in (("words", batch.n_words), ("mel", batch.n_mel))
    }
    of_turn = {f.name: getattr(batch, f.name)[list(order)] for f in fields(Batch) if f.name not in flat}
    return Batch(**flat, **of_turn)


def copy(batch: Batch) -> Batch:
    return Batch(*(getattr(batch, f.name).clone() for f in fields(Batch)))


def single_precision(batch: Batch) -> Batch:
    tensors = (getattr(batch, f.name) for f in fields(Batch))
    return Batch(*(t.float() if t.is_floating_point() else t for t in tensors))


def step_by_step(model: Model, batch: Batch, on: Whose = "us") -> Predicted:
    """What `forward` gives, by `foresee` and `observe`. Attention over words: a turn's after another's, (T, B, W) flattened."""
    b, t = batch.real.shape
    state, turns, chosen = model.start(b), Turns(batch, batch.counted(on)), batch.counted(on)[..., None]
    seen = []
    for place in range(t):
        now = turns.at(place)
        seen.append(model.foresee(state, now))
        state = model.observe(state, now, seen[-1])
    rows = [torch.nn.functional.pad(s.over_turns, (0, t + 1 - s.over_turns.shape[-1])) for s in seen]
    if model.config.attention == "none":
        rows = [row[..., :1].expand(b, 0, t + 1) for row in rows]
    return Predicted(
        torch.stack([s.location for s in seen], 1) * chosen,
        torch.where(chosen, torch.stack([s.scale for s in seen], 1), 1.0),
        torch.stack(rows, 2),
        torch.cat([s.over_words for s in seen]),
    )


def no_onnx() -> str:
    """Why the ONNX tests can't run; empty where they can."""
    missing = [name for name in ("onnx", "onnxscript", "onnxruntime") if find_spec(name) is None]
    return f"pip install 'entrain[onnx]': {', '.join(missing)} missing" if missing else ""

"""The network, whole: from the turns so far and the words of the next one, how a human partner would say it.

    text, mel ─ turn encoder ─┐                        (bidirectional GRU over the words, attended; the query is the features so far)
    features ── feature encoder ─ history ─ attention ─ decoder ─ location and scale of the next turn's seven features
    the reply's text ─ turn encoder ───────────────────┘              (only where the variant looks ahead)

Everything before the decoder's input depends on recorded turns alone, so with recorded turns (teacher forcing 1) a conversation is one
pass, without a loop over turns. `foresee` and `observe` are the same mathematics for one turn, with the state explicit: for live use,
free running and ONNX.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Literal, NamedTuple

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence

from entrain.packed import both_ways, packing
from entrain.syllables import count_syllables
from entrain.turn import FEATURES, SCHEMA, Record
from entrain.words import TOKENISER, tokens

N = len(FEATURES)
CONTEXT = ("duration", "pause_ratio", "latency", "overlap")
"""What is known of a turn once it is over, beside its features: log1p s, share, s within ±3 (0 for the first), 0 or 1."""
SHAPE = ("words", "syllables", "syllables_a_word")
"""What is known of a text: log1p of the counts, and their ratio / 4."""
MEL_BANDS = 160  # 40 bands of 4 frames: one vector for 100 ms
MIN_SCALE = 0.05
STUDENT_DF = 5.0  # tails of z-scored turns: kurtosis 5 to 9 in the turn tables

Whose = Literal["us", "both"]
Attention = Literal["single", "dual", "partner", "none"]
Likelihood = Literal["laplace", "student", "smooth_l1"]


class ModelConfig(Record):
    """All that rebuilds a network; it is stored beside the weights."""

    variant: str = "words-lookahead"
    words: bool = True
    """Read the texts."""
    lookahead: bool = True
    """Read also the text that is about to be said."""
    mel: bool = False
    """Read the Mel-spectrograms of past turns (a published negative result)."""
    attention: Attention = "single"
    """Over all turns so far; over own and partner's apart; over the partner's only; or none: the last state alone."""

    emotion: tuple[str, ...] = ()
    """Labels whose probabilities are read with each past turn, where a model of emotion judged it. None: emotions are not looked at."""

    hidden: int = Field(default=64, ge=2, le=2048)
    word_hidden: int = Field(default=32, ge=2, le=1024)
    dropout: float = Field(default=0.1, ge=0, lt=1)
    likelihood: Likelihood = "student"
    normalise: Literal["causal", "conversation"] = "causal"
    """z-scores that know only earlier turns; or (to repeat published tables) the whole conversation."""

    train_on: Whose = "us"
    """Whose turns the decoder runs over; the next four likewise: whose count in the loss, and so on."""
    train_loss_on: Whose = "us"
    eval_on: Whose = "us"
    eval_loss_on: Whose = "us"
    teacher_force_on: Whose = "us"
    """Whose turns enter as predicted where the teacher is absent. A partner's turns are otherwise always as recorded."""

    word_dim: int = Field(default=53, ge=1)
    vocabulary: str = ""
    """Id of the word vectors (`Words.id`); others are refused."""
    tokeniser: str = TOKENISER
    features: tuple[str, ...] = FEATURES
    profile: str = SCHEMA

    @model_validator(mode="after")
    def _possible(self) -> ModelConfig:
        if self.lookahead and not self.words:
            raise ValueError("lookahead reads the reply's words: it needs words=True.")
        if self.attention == "none" and (self.mel or (self.words and not self.lookahead)):
            raise ValueError(
                'attention="none" never looks at past texts or sounds: leave words and mel out, or look ahead.'
            )
        if len(set(self.emotion)) < len(self.emotion):
            raise ValueError(f"emotion has a label twice: {', '.join(self.emotion)}.")
        for run, also in (
            ("train_on", "train_loss_on"),
            ("train_on", "teacher_force_on"),
            ("eval_on", "eval_loss_on"),
        ):
            if getattr(self, run) == "us" and getattr(self, also) == "both":
                raise ValueError(
                    f'{also}="both" needs {run}="both": only turns that are predicted can count.'
                )
        return self

    @property
    def n_emotion(self) -> int:
        """Width of what is known of a turn's emotion, as `emotion_of` tells it."""
        return len(self.emotion) + 1 if self.emotion else 0

    @classmethod
    def of(cls, variant: str, **changes: object) -> ModelConfig:
        """The variant of that name, with changes. Raises ValueError listing the names."""
        if variant not in VARIANTS:
            raise ValueError(f"there is no variant {variant!r}. Select one of {', '.join(VARIANTS)}.")
        return cls.model_validate({"variant": variant} | VARIANTS[variant] | changes)


VARIANTS: dict[str, dict[str, object]] = {
    "base": {"words": False, "lookahead": False},
    "words": {"lookahead": False},
    "words-lookahead": {},
    "mel": {"words": False, "lookahead": False, "mel": True},
    "dual": {"attention": "dual"},
    "partner": {"attention": "partner"},
    "none": {"attention": "none"},
}


@dataclass
class Batch:
    """Conversations from one speaker's side ("us"), padded at their ends to the longest. B conversations, T turns."""

    z: Tensor  # (B, T, 7) input z-scores, 0 where not valid
    valid: Tensor  # (B, T, 7) bool
    target: Tensor  # (B, T, 7) what to predict: z by what was known before the turn
    us: Tensor  # (B, T) bool
    real: Tensor  # (B, T) bool, False in the padding
    context: Tensor  # (B, T, 4) as CONTEXT
    emotion: Tensor  # (B, T, E) as `emotion_of`; E is `config.n_emotion`
    shape: Tensor  # (B, T, 3) as SHAPE
    words: Tensor  # (W, word_dim), all turns' words one after the other: packed, not padded
    n_words: Tensor  # (B, T) how many of them belong to each turn
    mel: Tensor  # (M, 160), likewise
    n_mel: Tensor  # (B, T)

    def counted(self, whose: Whose) -> Tensor:
        """The turns of us, or of both: (B, T)."""
        return self.real if whose == "both" else self.real & self.us

    def to(self, device: torch.device | str) -> Batch:
        return Batch(*(getattr(self, field.name).to(device) for field in fields(self)))


class State(NamedTuple):
    """What is carried from turn to turn. J turns so far."""

    feature: Tensor  # (B, H) of the feature encoder
    decoder: Tensor  # (B, H)
    keys: Tensor  # (B, J, H)
    values: Tensor  # (B, J, H)
    us: Tensor  # (B, J) float, 1 for our own turns


class Now(NamedTuple):
    """One turn of B conversations, as in `Batch` without T; all float but the lengths."""

    z: Tensor  # (B, 7)
    valid: Tensor  # (B, 7) 0 or 1
    us: Tensor  # (B,) 1 for our own
    context: Tensor  # (B, 4)
    emotion: Tensor  # (B, E)
    shape: Tensor  # (B, 3)
    words: Tensor  # (W, word_dim)
    n_words: Tensor  # (B,)
    mel: Tensor  # (M, 160)
    n_mel: Tensor  # (B,)
    on: Tensor  # (B,) 1 where the turn is predicted: there the decoder moves


class Foresight(NamedTuple):
    """What the model makes of a turn that is about to begin."""

    location: Tensor  # (B, 7)
    scale: Tensor  # (B, 7)
    over_turns: Tensor  # (B, A, J + 1) attention over the turns so far; place 0 is "no turn"
    over_words: Tensor  # (W,)
    text: Tensor  # (B, n) the turn's encoded text
    decoder: Tensor  # (B, H) the decoder's next state


class Predicted(NamedTuple):
    location: Tensor  # (B, T, 7)
    scale: Tensor  # (B, T, 7), above 0
    over_turns: Tensor  # (B, A, T, T + 1) attention over the turns so far, A of them; place 0 is "no turn"
    over_words: Tensor  # (W,) attention over the words of each turn


class TurnEncoder(nn.Module):
    """Sequences of any lengths → one vector each: a bidirectional GRU, and attention whose query comes from outside."""

    def __init__(self, n_in: int, n_hidden: int, n_query: int) -> None:
        super().__init__()
        self.n_out = 2 * n_hidden
        self.rnn = nn.GRU(n_in, n_hidden, batch_first=True, bidirectional=True)
        self.of_state = nn.Linear(2 * n_hidden, n_hidden)
        self.of_query = nn.Linear(n_query, n_hidden, bias=False)
        self.score = nn.Linear(n_hidden, 1, bias=False)

    def read(self, flat: Tensor, lengths: Tensor) -> Tensor:
        """(W, n_in) of sequences one after the other, their lengths (S,) → states (W, 2·n_hidden). Cost and memory follow W, not
        the longest."""
        if len(lengths) == 1:
            return self.rnn(flat[None])[0][0]
        if torch.is_grad_enabled() and not flat.is_cuda:
            return both_ways(self.rnn, flat, lengths)
        place, sizes = packing(lengths)
        states = self.rnn(PackedSequence(flat[place], sizes.cpu()))[0].data
        return torch.empty_like(states).index_copy(0, place, states)

    def attend(self, states: Tensor, owner: Tensor, query: Tensor) -> tuple[Tensor, Tensor]:
        """States (W, 2·n_hidden), the sequence each belongs to (W,), queries (S, n_query) → vectors (S, 2·n_hidden), 0 for empty
        sequences, and weights (W,)."""
        energy = torch.tanh(self.of_state(states) + self.of_query(query)[owner])
        mass = torch.exp(self.score(energy)[:, 0])  # of Σ|weights| at most: safe without each one's maximum
        weights = mass / mass.new_zeros(len(query)).index_add(0, owner, mass)[owner]
        parts = weights[:, None] * states
        return parts.new_zeros(len(query), self.n_out).index_add(0, owner, parts), weights


class Model(nn.Module):
    """The autoregressive attention encoder–decoder. `forward` for whole conversations, `foresee` and
    `observe` for one turn."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        hidden = config.hidden
        n_text = 2 * config.word_hidden + len(SHAPE) if config.words else 0
        n_mel = 2 * config.word_hidden if config.mel else 0
        n_ahead = n_text if config.lookahead else 0
        n_attended = {"single": 1, "dual": 2, "partner": 1, "none": 0}[config.attention]

        n_turn = 2 * N + 1 + len(CONTEXT) + config.n_emotion
        self.feature_encoder = nn.GRU(n_turn, hidden, batch_first=True)
        self.word_encoder = TurnEncoder(config.word_dim, config.word_hidden, hidden) if config.words else None
        self.mel_encoder = TurnEncoder(MEL_BANDS, config.word_hidden, hidden) if config.mel else None
        if n_attended:
            self.key = nn.Linear(hidden + n_text + n_mel, hidden)
            self.value = nn.Linear(hidden + n_text + n_mel, hidden)
            self.query = nn.ModuleList(nn.Linear(hidden + n_ahead + 1, hidden) for _ in range(n_attended))
            self.no_turn = nn.Parameter(
                0.1 * torch.randn(2, hidden)
            )  # key and value of "nothing was said yet"
            self.fading = nn.Parameter(torch.zeros(n_attended))
        self.decoder = nn.GRU(hidden * (1 + n_attended) + n_ahead + 1, hidden, batch_first=True)
        self.head = nn.Sequential(
            nn.Linear(self.decoder.input_size + hidden, hidden), nn.GELU(), nn.Linear(hidden, self._n_out)
        )
        self.dropout = nn.Dropout(config.dropout)
        self.calibration: Tensor
        self.register_buffer(
            "calibration", torch.ones(N)
        )  # what the scale is multiplied by; fitted after training

    @property
    def _n_out(self) -> int:
        return N if self.config.likelihood == "smooth_l1" else 2 * N

    def forward(self, batch: Batch, on: Whose = "us") -> Predicted:
        """Predicts every turn that `on` names from the turns before it, as they are in the batch; the rest is 0. No loop over turns."""
        z, us = batch.z * batch.valid, batch.us.float()
        known = self._of_features(z, batch.valid, us, batch.context, batch.emotion)
        states = self.feature_encoder(self.dropout(known))[0]
        before = F.pad(states, (0, 0, 1, 0))[:, :-1]  # (B, T, H) what was known when the turn began
        text, over_words = self._text(batch, before)
        turn = torch.cat([states, text, self._mel(batch, before)], -1)
        ahead = self._ahead(before, text, us)
        attended, over_turns = self._attention(turn, ahead, batch)
        chosen = batch.counted(on)
        given = self.dropout(torch.cat([ahead, attended], -1))
        location, scale = self._decode(given, self._run_decoder(given, chosen))
        chosen = chosen[..., None]
        return Predicted(location * chosen, torch.where(chosen, scale, 1.0), over_turns, over_words)

    def start(self, n: int = 1) -> State:
        """The state before the first turn of `n` conversations."""
        like, hidden = self.calibration, self.config.hidden
        return State(
            like.new_zeros(n, hidden), like.new_zeros(n, hidden), like.new_zeros(n, 0, hidden),
            like.new_zeros(n, 0, hidden), like.new_zeros(n, 0),
        )  # fmt: skip

    def encode(self, words: Tensor, n_words: Tensor, mel: Tensor, n_mel: Tensor) -> tuple[Tensor, Tensor]:
        """The encoders' states of words and Mel vectors, as in `Batch` or `Now`: (W, 2·word_hidden), (M, 2·word_hidden). They depend on
        no state, so who looks at a turn more than once encodes it once."""
        if self.word_encoder and len(words):
            words = self.word_encoder.read(words, n_words.flatten())
        if self.mel_encoder and len(mel):
            mel = self.mel_encoder.read(mel, n_mel.flatten())
        return words, mel

    def foresee(self, state: State, now: Now, encoded: bool = False) -> Foresight:
        """How the turn will be said, from the turns before it and its own text; its z, valid, context, emotion and mel are not looked at.
        `encoded`: `now.words` and `now.mel` are what `encode` gave for them."""
        text, over_words = self._read(
            self.word_encoder, now.words, now.n_words, state.feature, now.shape, encoded
        )
        ahead = self._ahead(state.feature, text, now.us)
        attended, over_turns = self._attend_past(state, ahead)
        given = self.dropout(torch.cat([ahead, attended], -1))
        decoder = torch.where(now.on[:, None] > 0, _cell(self.decoder, given, state.decoder), state.decoder)
        location, scale = self._decode(given, decoder)
        return Foresight(location, scale, over_turns, over_words, text, decoder)

    def observe(self, state: State, now: Now, foreseen: Foresight, encoded: bool = False) -> State:
        """The state after the turn, as it was really said. `foreseen`: what `foresee` gave for the words that were said."""
        heard, _ = self._read(self.mel_encoder, now.mel, now.n_mel, state.feature, encoded=encoded)
        known = self._of_features(now.z * now.valid, now.valid, now.us, now.context, now.emotion)
        feature = _cell(self.feature_encoder, self.dropout(known), state.feature)
        state = state._replace(feature=feature, decoder=foreseen.decoder)
        return self._remember(state, torch.cat([feature, foreseen.text, heard], -1), now.us)

    @torch.no_grad()
    def free_run(
        self, batch: Batch, p_teacher: float = 0.0, on: Whose = "us", generator: torch.Generator | None = None,
        each: Literal["turn", "feature"] = "turn",
    ) -> Batch:  # fmt: skip
        """The batch in which our own turns are, with probability 1 − `p_teacher`, as the model itself predicts them, not as recorded
        (in a new tensor; whose turns: `config.teacher_force_on`).

        The one loop over turns. Predictions enter detached, so `forward` of the result has the very gradients of a loop that feeds
        back as it goes. Without dropout: noise on what is fed back is not what the model would say.
        """
        size = (*batch.z.shape[:2], N if each == "feature" else 1)
        drawn = torch.rand(size, generator=generator).to(batch.z)
        # What is not predicted stays as recorded, and what was not measured stays unknown.
        fed_back = batch.counted(self.config.teacher_force_on) & batch.counted(on)
        replaced = (drawn >= p_teacher) & fed_back[..., None] & batch.valid
        if not replaced.any():
            return batch
        was_training, z = self.training, batch.z.clone()
        self.eval()
        words, mel = self.encode(batch.words, batch.n_words, batch.mel, batch.n_mel)
        state, turns = self.start(len(z)), Turns(replace(batch, words=words, mel=mel), batch.counted(on))
        for t in range(z.shape[1]):
            now = turns.at(t)
            foreseen = self.foresee(state, now, encoded=True)
            z[:, t] = torch.where(replaced[:, t], foreseen.location, z[:, t])
            state = self.observe(state, now._replace(z=z[:, t]), foreseen, encoded=True)
        self.train(was_training)
        return replace(batch, z=z)

    # --- parts ----------------------------------------------------------------------------------------------------

    def _of_features(self, z: Tensor, valid: Tensor, us: Tensor, context: Tensor, emotion: Tensor) -> Tensor:
        parts = [z, valid.float(), us.view(*z.shape[:-1], 1), context]
        if self.config.emotion:  # else it may have any width: it is not looked at
            known = emotion[..., -1:]
            parts += [emotion[..., :-1] * known, known]
        return torch.cat(parts, -1)

    def _ahead(self, before: Tensor, text: Tensor, us: Tensor) -> Tensor:
        """What is known when a turn begins, beside the attended history: (…, H + text + 1)."""
        known = [before, us.view(*before.shape[:-1], 1)]
        return torch.cat([*known, text] if self.config.lookahead else known, -1)

    def _text(self, batch: Batch, before: Tensor) -> tuple[Tensor, Tensor]:
        size = before.shape[:2]
        text, weights = self._read(
            self.word_encoder,
            batch.words,
            batch.n_words.flatten(),
            before.flatten(0, 1),
            batch.shape.flatten(0, 1),
        )
        return text.view(*size, text.shape[-1]), weights

    def _mel(self, batch: Batch, before: Tensor) -> Tensor:
        mel, _ = self._read(self.mel_encoder, batch.mel, batch.n_mel.flatten(), before.flatten(0, 1))
        return mel.view(*before.shape[:2], mel.shape[-1])

    def _read(
        self, encoder: TurnEncoder | None, flat: Tensor, lengths: Tensor, query: Tensor,
        shape: Tensor | None = None, encoded: bool = False,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        """→ (S, n) and weights (W,); (S, 0) where the variant has no such encoder."""
        if encoder is None:
            return query[:, :0], query[:0, 0]
        if not len(flat):
            vectors, weights = query.new_zeros(len(query), encoder.n_out), flat[:, 0]
        else:
            states = flat if encoded else encoder.read(flat, lengths)
            vectors, weights = encoder.attend(states, _owners(lengths, flat), query)
            # A single turn without words is given one row, of anything.
            vectors = vectors * (lengths > 0)[:, None]
        return self.dropout(vectors if shape is None else torch.cat([vectors, shape], -1)), weights

    def _attention(self, turn: Tensor, ahead: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Every turn's look at those before it. turn (B, T, K), ahead (B, T, Q) → (B, T, A·H) and weights (B, A, T, T + 1)."""
        b, t = batch.real.shape
        if self.config.attention == "none":
            return ahead[..., :0], ahead.new_zeros(b, 0, t, t + 1)
        place = torch.arange(t, device=ahead.device)
        distance = (place[:, None] - place).clamp(min=0)  # (T, T)
        seen = (distance > 0)[None, None] & self._whose(batch.us)[:, :, None]
        return self._mix(self.key(turn), self.value(turn), ahead, seen, distance.to(ahead))

    def _attend_past(self, state: State, ahead: Tensor) -> tuple[Tensor, Tensor]:
        """One turn's look at those in the state. ahead (B, Q) → (B, A·H) and weights (B, A, J + 1)."""
        if self.config.attention == "none":
            return ahead[:, :0], ahead.new_zeros(len(ahead), 0, 1)
        distance = torch.cumsum(torch.ones_like(state.us), 1).flip(1)[:1]  # (1, J): J, …, 1
        seen = self._whose(state.us > 0)[:, :, None]  # (B, A, 1, J)
        attended, weights = self._mix(state.keys, state.values, ahead[:, None], seen, distance)
        return attended[:, 0], weights[:, :, 0]

    def _whose(self, us: Tensor) -> Tensor:
        """Which turns each attention may look at: (B, T) → (B, A, T)."""
        every = {"single": [us | ~us], "dual": [us, ~us], "partner": [~us]}[self.config.attention]
        return torch.stack(every, 1)

    def _mix(
        self, keys: Tensor, values: Tensor, ahead: Tensor, seen: Tensor, distance: Tensor
    ) -> tuple[Tensor, Tensor]:
        """keys, values (B, J, H), ahead (B, T, Q), seen (B, A, 1 or T, J), distance (T, J) → (B, T, A·H), weights (B, A, T, J + 1)."""
        b, t = ahead.shape[:2]
        keys = torch.cat([self.no_turn[0].expand(b, 1, -1), keys], 1)
        values = torch.cat([self.no_turn[1].expand(b, 1, -1), values], 1)
        query = torch.stack([query(ahead) for query in self.query], 1)  # (B, A, T, H)
        score = query @ keys[:, None].transpose(-1, -2) / math.sqrt(self.config.hidden)  # (B, A, T, J + 1)
        fading = self.fading[:, None, None] * torch.log1p(distance)  # (A, T, J): the far past may count less
        score = score - F.pad(fading, (1, 0))
        weights = torch.softmax(score.masked_fill(~F.pad(seen, (1, 0), value=True), -torch.inf), -1)
        return (weights @ values[:, None]).transpose(1, 2).reshape(b, t, -1), weights

    def _remember(self, state: State, turn: Tensor, us: Tensor) -> State:
        if self.config.attention == "none":
            return state
        keys = torch.cat([state.keys, self.key(turn)[:, None]], 1)
        values = torch.cat([state.values, self.value(turn)[:, None]], 1)
        return state._replace(keys=keys, values=values, us=torch.cat([state.us, us.view(-1, 1)], 1))

    def _run_decoder(self, given: Tensor, chosen: Tensor) -> Tensor:
        """The decoder over the chosen turns only, as if the others were not there: (B, T, H)."""
        n = max(1, int(chosen.sum(1).max()))
        order = torch.argsort((~chosen).int(), dim=1, stable=True)[:, :n, None]  # (B, n, 1)
        states = self.decoder(given.gather(1, order.expand(-1, -1, given.shape[-1])))[0]
        empty = given.new_zeros(*chosen.shape, self.config.hidden)
        return empty.scatter(1, order.expand_as(states), states)

    def _decode(self, given: Tensor, decoder: Tensor) -> tuple[Tensor, Tensor]:
        out = self.head(torch.cat([given, self.dropout(decoder)], -1))
        if self.config.likelihood == "smooth_l1":
            return out, self.calibration.expand_as(out)
        location, raw = out.chunk(2, -1)
        return location, self.calibration * (F.softplus(raw) + MIN_SCALE)


def context_of(
    duration_s: float, pause_ratio: float, latency_s: float | None, overlap: bool
) -> tuple[float, ...]:
    """A turn's `CONTEXT`, once it is over. `latency_s`: from the end of the other's last turn; None for the first."""
    latency = 0.0 if latency_s is None else min(max(latency_s, -3.0), 3.0)
    return math.log1p(max(duration_s, 0.0)), pause_ratio, latency, float(overlap)


def emotion_of(probabilities: Mapping[str, float] | None, labels: Sequence[str]) -> tuple[float, ...]:
    """What a turn's emotion is to a model that knows these labels: the probability of each, and 1; all 0 where none is known. Empty
    where the model has no labels."""
    known = {label: p for label, p in (probabilities or {}).items() if label in labels}
    return (*(known.get(label, 0.0) for label in labels), float(bool(known))) if labels else ()


def shape_of(text: str) -> tuple[float, ...]:
    """A text's `SHAPE`; zeros where it has no words."""
    n_words, n_syllables = len(tokens(text)), count_syllables(text)
    return math.log1p(n_words), math.log1p(n_syllables), n_syllables / max(n_words, 1) / 4


class Turns:
    """A batch turn by turn."""

    def __init__(self, batch: Batch, on: Tensor) -> None:
        self.batch, self.on = batch, on.float()
        self.words_at, self.mel_at = (_starts(n) for n in (batch.n_words, batch.n_mel))

    def at(self, t: int) -> Now:
        b = self.batch
        return Now(
            b.z[:, t], b.valid[:, t].float(), b.us[:, t].float(), b.context[:, t], b.emotion[:, t], b.shape[:, t],
            _part(b.words, self.words_at, b.n_words, t), b.n_words[:, t],
            _part(b.mel, self.mel_at, b.n_mel, t), b.n_mel[:, t], self.on[:, t],
        )  # fmt: skip


def _owners(lengths: Tensor, flat: Tensor) -> Tensor:
    """The sequence that each element belongs to: (W,)."""
    if len(lengths) == 1:
        return torch.zeros_like(flat[:, 0], dtype=torch.long)
    return torch.repeat_interleave(torch.arange(len(lengths), device=flat.device), lengths)


def _starts(lengths: Tensor) -> Tensor:
    """Where each turn's part begins: (B, T)."""
    flat = lengths.flatten()
    return (flat.cumsum(0) - flat).view_as(lengths)


def _part(flat: Tensor, starts: Tensor, lengths: Tensor, t: int) -> Tensor:
    """The parts that belong to turn t of each conversation, one after the other."""
    n = lengths[:, t]
    owner = torch.repeat_interleave(torch.arange(len(n), device=n.device), n)
    within = torch.arange(len(owner), device=n.device) - (n.cumsum(0) - n)[owner]
    return flat[starts[owner, t] + within]


def _cell(rnn: nn.GRU, x: Tensor, hidden: Tensor) -> Tensor:
    """One step of a one-layer GRU: (B, n_in), (B, H) → (B, H)."""
    return rnn(x[:, None], hidden[None])[1][0]


# --- Likelihoods ----------------------------------------------------------------------------------------------------


def negative_log_likelihood(kind: Likelihood, error: Tensor, scale: Tensor) -> Tensor:
    """Of each error under its scale, same shapes; for "smooth_l1" the published loss instead (β 1, on z), which has no scale."""
    if kind == "smooth_l1":
        return F.smooth_l1_loss(error, torch.zeros_like(error), reduction="none")
    x = error / scale
    if kind == "laplace":
        return x.abs() + torch.log(2 * scale)
    df = STUDENT_DF
    constant = math.lgamma((df + 1) / 2) - math.lgamma(df / 2) - 0.5 * math.log(df * math.pi)
    return (df + 1) / 2 * torch.log1p(x * x / df) + torch.log(scale) - constant


def masked_loss(config: ModelConfig, predicted: Predicted, batch: Batch, loss_on: Whose = "us") -> Tensor:
    """Mean over the valid features of the turns that count; 0 (with a gradient) where there are none."""
    mask = batch.counted(loss_on)[..., None] & batch.valid
    error = torch.where(mask, batch.target - predicted.location, 0.0)
    loss = negative_log_likelihood(config.likelihood, error, predicted.scale)
    return (loss * mask).sum() / mask.sum().clamp(min=1)

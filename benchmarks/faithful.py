"""The same network as a loop over turns, written plainly after the published description: what `train_speed` compares with.

Turn by turn, the batch's texts padded to the longest of that turn: a word BiLSTM of LSTM cells stepped over the words, attended; a
feature LSTM cell; attention over the turns so far, computed at each step; a decoder LSTM cell. Teacher forcing 1, our sizes and inputs.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from entrain.model import CONTEXT, MIN_SCALE, SHAPE, Batch, ModelConfig, N, Predicted

State = tuple[Tensor, Tensor]  # hidden and cell, each (B, H)


class Faithful(nn.Module):
    """The variant words-lookahead, of LSTMs. `forward` gives the location and scale that `Model.forward` gives; no attention weights."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.hidden, self.word_hidden = config.hidden, config.word_hidden
        n_states = 2 * config.word_hidden
        n_text = n_states + len(SHAPE)
        n_ahead = config.hidden + 1 + n_text
        self.onwards, self.back = (nn.LSTMCell(config.word_dim, config.word_hidden) for _ in range(2))
        self.of_state = nn.Linear(n_states, config.word_hidden)
        self.of_query = nn.Linear(config.hidden, config.word_hidden, bias=False)
        self.score = nn.Linear(config.word_hidden, 1, bias=False)
        self.feature_encoder = nn.LSTMCell(2 * N + 1 + len(CONTEXT), config.hidden)
        self.key, self.value = (nn.Linear(config.hidden + n_text, config.hidden) for _ in range(2))
        self.query = nn.Linear(n_ahead, config.hidden)
        self.decoder = nn.LSTMCell(n_ahead + config.hidden, config.hidden)
        self.head = nn.Sequential(
            nn.Linear(n_ahead + 2 * config.hidden, config.hidden), nn.GELU(), nn.Linear(config.hidden, 2 * N)
        )
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, batch: Batch) -> Predicted:
        n, n_turns = batch.real.shape
        texts = _texts(batch)
        feature, decoder = (_nothing(batch.z, n, self.hidden) for _ in range(2))
        keys = values = batch.z.new_zeros(n, 1, self.hidden)  # place 0: "no turn"
        locations: list[Tensor] = []
        scales: list[Tensor] = []
        for t in range(n_turns):
            us = batch.us[:, t, None].to(batch.z)
            text = self.read([texts[i][t] for i in range(n)], feature[0])
            text = self.dropout(torch.cat([text, batch.shape[:, t]], -1))
            ahead = torch.cat([feature[0], us, text], -1)
            given = self.dropout(torch.cat([ahead, self.attend(ahead, keys, values)], -1))
            decoder = _where(us > 0, self.decoder(given, decoder), decoder)
            location, raw = self.head(torch.cat([given, self.dropout(decoder[0])], -1)).chunk(2, -1)
            locations.append(location)
            scales.append(F.softplus(raw) + MIN_SCALE)
            valid = batch.valid[:, t]
            known = torch.cat([batch.z[:, t] * valid, valid, us, batch.context[:, t]], -1)
            feature = self.feature_encoder(self.dropout(known), feature)
            turn = torch.cat([feature[0], text], -1)[:, None]
            keys, values = torch.cat([keys, self.key(turn)], 1), torch.cat([values, self.value(turn)], 1)
        return Predicted(torch.stack(locations, 1), torch.stack(scales, 1), batch.z[:0], batch.z[:0])

    def read(self, texts: list[Tensor], query: Tensor) -> Tensor:
        """One text a conversation, each (W, word_dim), and queries (B, H) → (B, 2·word_hidden); 0 where there is no word."""
        words = pad_sequence(texts, batch_first=True)  # (B, W, word_dim)
        place = torch.arange(words.shape[1])
        real = place < torch.tensor([len(text) for text in texts])[:, None]  # (B, W)
        if not real.any():
            return query.new_zeros(len(texts), 2 * self.word_hidden)
        both = [self.step(self.onwards, words, real, place), self.step(self.back, words, real, place.flip(0))]
        states = torch.cat(both, -1)  # (B, W, 2·word_hidden)
        score = self.score(torch.tanh(self.of_state(states) + self.of_query(query)[:, None]))[..., 0]
        weights = torch.softmax(score.masked_fill(~real, -1e9), -1) * real
        return (weights[:, None] @ states)[:, 0]

    def step(self, cell: nn.LSTMCell, words: Tensor, real: Tensor, order: Iterable[Tensor]) -> Tensor:
        """The cell over the words in that order: its states (B, W, word_hidden), in the words' order."""
        state = _nothing(words, len(words), self.word_hidden)
        states: dict[int, Tensor] = {}
        for i in order:
            state = _where(real[:, i, None], cell(words[:, i], state), state)
            states[int(i)] = state[0]
        return torch.stack([states[i] for i in range(len(states))], 1)

    def attend(self, ahead: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Over the turns so far, (B, J, H) each: (B, H)."""
        score = keys @ self.query(ahead)[..., None] / self.hidden**0.5  # (B, J, 1)
        return (torch.softmax(score, 1) * values).sum(1)


def _texts(batch: Batch) -> list[list[Tensor]]:
    """The words of each turn of each conversation: (W, word_dim) each."""
    n = batch.n_words.tolist()
    each = batch.words.split([sum(of_turns) for of_turns in n])
    return [list(words.split(of_turns)) for words, of_turns in zip(each, n, strict=True)]


def _nothing(like: Tensor, n: int, size: int) -> State:
    return like.new_zeros(n, size), like.new_zeros(n, size)


def _where(chosen: Tensor, new: State, old: State) -> State:
    return torch.where(chosen, new[0], old[0]), torch.where(chosen, new[1], old[1])

"""The conversation so far: its turns in order, what is known of each speaker, and the same as arrays."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from entrain.normalize import Normalizer
from entrain.turn import FEATURES, SCHEMA, Turn

MAX_TURNS = 2_000  # kept in memory, about two hours of talk; a store keeps them all


class HistoryError(ValueError):
    """The history can't be read; the message says why and what to do."""


class History:
    """One conversation. `turns` are the latest ones; `n_forgotten` earlier ones are only in the store, if there is one."""

    def __init__(self, conversation_id: str, user: Normalizer | None = None, agent: Normalizer | None = None) -> None:
        self.id = conversation_id
        self.turns: list[Turn] = []
        self.n_forgotten = 0
        self.user = user or Normalizer.for_person()
        self.agent = agent or Normalizer.for_person()

    def __len__(self) -> int:
        return self.n_forgotten + len(self.turns)

    def add(self, turn: Turn) -> Turn:
        """Append a turn; its z-scores are settled here, from this turn and those before it. Returns it with them."""
        normalizer = self._normalizer(turn.speaker).observe(turn.features)
        setattr(self, turn.speaker, normalizer)
        z, valid = normalizer.z(turn.features)
        others = [t for t in self.turns if t.speaker != turn.speaker]
        turn = turn.model_copy(
            update={
                "z": tuple(float(v) if ok else None for v, ok in zip(z, valid, strict=True)),
                "latency_s": turn.start_s - others[-1].end_s if others else None,
            }
        )
        self.turns.append(turn)
        surplus = len(self.turns) - MAX_TURNS
        if surplus > 0:
            del self.turns[:surplus]
            self.n_forgotten += surplus
        return turn

    def by(self, speaker: str) -> list[Turn]:
        return [turn for turn in self.turns if turn.speaker == speaker]

    def arrays(self, last: int | None = None) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]:
        """The latest turns as z-scores `(T, 7)` with 0 where masked, validity `(T, 7)`, and who spoke: `(T,)`, True for
        the agent."""
        turns = self.turns[-last:] if last else self.turns
        z = np.array([[v or 0.0 for v in turn.z] for turn in turns], np.float32).reshape(-1, len(FEATURES))
        valid = np.array([[v is not None for v in turn.z] for turn in turns], bool).reshape(-1, len(FEATURES))
        return z, valid, np.array([turn.speaker == "agent" for turn in turns], bool)

    def state(self) -> dict[str, Any]:
        """Everything but the turns, for JSON."""
        return {
            "schema": SCHEMA,
            "id": self.id,
            "user": self.user.model_dump(mode="json"),
            "agent": self.agent.model_dump(mode="json"),
        }

    def to_json(self, turns: Iterable[Turn] | None = None) -> str:
        """The whole conversation as JSON (`turns`: all of them, where a store holds more than memory does)."""
        return json.dumps(self.state() | {"turns": [t.model_dump(mode="json") for t in turns or self.turns]}, indent=1)

    @classmethod
    def from_json(cls, text: str) -> History:
        """The inverse of `to_json`. Raises `HistoryError` for other text, a newer schema, or damaged turns."""
        try:
            record = json.loads(text)
            return cls.from_records(record, [Turn(**turn) for turn in record["turns"]])
        except (json.JSONDecodeError, KeyError, TypeError, ValidationError) as error:
            raise HistoryError(f"this is not a conversation that entrain exported: {error}") from error

    @classmethod
    def from_records(cls, state: dict[str, Any], turns: list[Turn], n_forgotten: int = 0) -> History:
        if state["schema"] != SCHEMA:
            raise HistoryError(
                f"conversation {state.get('id')!r} has schema {state['schema']!r}; this entrain reads {SCHEMA!r}. "
                "Upgrade entrain, or export it again from the version that wrote it."
            )
        history = cls(state["id"], Normalizer(**state["user"]), Normalizer(**state["agent"]))
        history.turns, history.n_forgotten = turns, n_forgotten
        return history

    def _normalizer(self, speaker: str) -> Normalizer:
        return self.user if speaker == "user" else self.agent

"""The conversation so far: its turns in order, what is known of each speaker, and the same as arrays."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from entrain.emotion import Manner
from entrain.normalize import Normalizer
from entrain.turn import FEATURES, SCHEMA, Turn, Who

MAX_TURNS = 2_000  # kept in memory, about two hours of talk; a store keeps them all
MANNERS = TypeAdapter(dict[Who, Manner])


class HistoryError(ValueError):
    """The history can't be read; the message says why and what to do."""


class History:
    """One conversation. `turns` are the latest ones; `n_forgotten` earlier ones are only in the store, if there is one."""

    def __init__(
        self, conversation_id: str, user: Normalizer | None = None, agent: Normalizer | None = None
    ) -> None:
        self.id = conversation_id
        self.turns: list[Turn] = []
        self.n_forgotten = 0
        self.user = user or Normalizer.for_person()
        self.agent = agent or Normalizer.for_person()
        self.manners: dict[Who, Manner] = {}
        """Speaker → how they sound as a rule, where a model of emotion learns that."""

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

    def arrays(
        self, last: int | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]:
        """The latest turns as z-scores `(T, 7)` with 0 where masked, validity `(T, 7)`, and who spoke: `(T,)`, True for
        the agent."""
        turns = self.turns if last is None else self.turns[max(0, len(self.turns) - last) :]
        z = np.array([[v or 0.0 for v in turn.z] for turn in turns], np.float32).reshape(-1, len(FEATURES))
        valid = np.array([[v is not None for v in turn.z] for turn in turns], bool).reshape(-1, len(FEATURES))
        return z, valid, np.array([turn.speaker == "agent" for turn in turns], bool)

    def state(self) -> dict[str, Any]:
        """Everything but the turns, for JSON."""
        manners = {"manners": MANNERS.dump_python(self.manners, mode="json")} if self.manners else {}
        return {
            "schema": SCHEMA,
            "id": self.id,
            "user": self.user.model_dump(mode="json"),
            "agent": self.agent.model_dump(mode="json"),
        } | manners

    def to_json(self, turns: Iterable[Turn] | None = None) -> str:
        """The whole conversation as JSON (`turns`: all of them, where a store holds more than memory does)."""
        written = [turn.model_dump(mode="json") for turn in (self.turns if turns is None else turns)]
        return json.dumps(
            self.state() | {"n_forgotten": max(0, len(self) - len(written)), "turns": written}, indent=1
        )  # fmt: skip

    @classmethod
    def from_json(cls, text: str) -> History:
        """The inverse of `to_json`. Raises `HistoryError` for other text, a newer schema, or damaged turns."""
        try:
            record = json.loads(text)
            turns = (Turn.model_validate(turn) for turn in record["turns"])
            n_forgotten = record.get("n_forgotten", 0)
            if not isinstance(n_forgotten, int) or n_forgotten < 0:
                raise TypeError(f"n_forgotten is {n_forgotten!r}")
            return cls.from_records(record, turns, n_forgotten)
        except (json.JSONDecodeError, KeyError, TypeError, ValidationError, RecursionError) as error:
            raise HistoryError(f"this is not a conversation that entrain exported: {error}") from error

    @classmethod
    def from_records(cls, state: Any, turns: Iterable[Turn], n_forgotten: int = 0) -> History:
        """From `state()` and the turns, which are only looked at once the schema is known to be ours."""
        try:
            conversation_id, schema = str(state["id"]), state["schema"]
            if schema != SCHEMA:
                raise HistoryError(
                    f"conversation {conversation_id!r} has schema {schema!r}; this entrain reads {SCHEMA!r}. "
                    "Upgrade entrain, or export it again from the version that wrote it."
                )
            user, agent = (Normalizer.model_validate(state[speaker]) for speaker in ("user", "agent"))
            manners = MANNERS.validate_python(state.get("manners", {}))
        except (KeyError, TypeError, ValidationError) as error:
            raise HistoryError(f"the record of this conversation is damaged: {error}") from error
        history = cls(conversation_id, user, agent)
        history.manners = manners
        history.turns, history.n_forgotten = list(turns), n_forgotten
        for number, turn in enumerate(history.turns, n_forgotten):
            if len(turn.z) != len(FEATURES):
                raise HistoryError(f"turn {number} has {len(turn.z)} z-scores; it needs {len(FEATURES)}.")
        return history

    def _normalizer(self, speaker: str) -> Normalizer:
        return self.user if speaker == "user" else self.agent

"""A reply while it is said: what has been made of it, and, when the user takes the floor, how much was heard."""

from __future__ import annotations

import numpy as np

from entrain.audio import Audio
from entrain.conversation import Piece
from entrain.mouth import Said


class Saying:
    """What has been made of a reply so far."""

    def __init__(self) -> None:
        self.texts: dict[int, str] = {}
        self.usual: dict[int, Audio] = {}
        self.notes: list[str] = []

    def add(self, piece: Piece) -> None:
        self.texts[piece.number] = piece.text
        if piece.usual is not None:
            self.usual[piece.number] = piece.usual
        self.notes += [note for note in piece.notes if note not in self.notes]

    def said(self, played: Said) -> str:
        """The words that were said, of a broken-off sentence as many as its share of the sound."""
        return " ".join(words for n, share in played.shares.items() if (words := _part(self.texts[n], share)))

    def left_alone(self, played: Said) -> Audio | None:
        """How the voice would have said that much, left alone; None where that is not known of every sentence."""
        if not all(number in self.usual for number in played.shares):
            return None
        parts = [
            self.usual[n].part(0, share * self.usual[n].duration_s) for n, share in played.shares.items()
        ]
        return Audio(np.concatenate([part.samples for part in parts]), parts[0].rate_hz) if parts else None


def _part(text: str, share: float) -> str:
    words = text.split()
    return text if share >= 1 else " ".join(words[: int(share * len(words))])

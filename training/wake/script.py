"""What the voices shall say, and who says what: the word, what sounds like it, and other sentences, for training and for dev."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from entrain_training.clips import held_out
from entrain_training.wake import phrases
from entrain_training.wake.settings import Wake
from entrain_training.wake.voices import Line, cast, lines


def script(
    word: str, near: Sequence[str], text: Path | None, engines: Sequence[str], settings: Wake
) -> dict[str, list[list[Line]]]:
    """For training and dev: the word, near misses, general speech. Of espeak's voices dev has its own; so it has of the sentences."""
    if not settings.n_synthesised + settings.n_near + settings.n_sentences:
        return {}
    rng = np.random.default_rng(0)
    heard: dict[str, list[tuple[str, float]]] = {"train": [], "dev": []}
    for voice in cast(engines):
        is_many = voice[0].startswith("espeak")
        for part in ("dev" if held_out(voice[0], settings.dev_share) else "train",) if is_many else heard:
            heard[part].append(voice)
    misses = [form.format(p) for p in [*near, *phrases.near(word)] for form in phrases.WITHIN]
    texts = phrases.sentences(word, text, settings.n_sentences or 1)
    found: dict[str, list[list[Line]]] = {}
    for name, share in (("train", 1 - settings.dev_share), ("dev", settings.dev_share)):
        own = [text for text in texts if held_out(text, settings.dev_share) == (name == "dev")] or texts
        mixed = [misses[i] for i in rng.permutation(len(misses))]
        found[name] = [
            lines(said, round(n * share), heard[name], rng) if n else []
            for said, n in (
                (phrases.leads(word), settings.n_synthesised), (mixed, settings.n_near), (own, settings.n_sentences)
            )
        ]  # fmt: skip
    return found

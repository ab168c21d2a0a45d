"""What the voices shall say, and who says what: the word, what sounds like it, and other sentences, for training and for dev."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from entrain_training.clips import held_out
from entrain_training.wake import phrases
from entrain_training.wake.accents import accented
from entrain_training.wake.settings import Wake
from entrain_training.wake.voices import Line, cast, lines, parts_of

WORD, NEAR, GENERAL = 1.0, 0.2, 0.04  # how much Kokoro says of each: it takes as long as its sound lasts
FOREIGN = 0.5  # of what Kokoro says of the word, with an accent
SEED = 0
N_WORDS = 8  # of a sentence, that Kokoro says


def script(
    word: str, near: Sequence[str], text: Path | None, engines: Sequence[str], settings: Wake
) -> dict[str, list[list[Line]]]:
    """For training and dev: the word, near misses, general speech. Of espeak's voices dev has its own; so it has of the sentences."""
    if not settings.n_synthesised + settings.n_near + settings.n_sentences:
        return {}
    rng = np.random.default_rng(SEED)
    casts = {kokoro: cast(engines, kokoro) for kokoro in (WORD, NEAR, GENERAL)}
    misses = [form.format(p) for p in [*near, *phrases.near(word)] for form in phrases.WITHIN]
    texts = phrases.sentences(word, text, settings.n_sentences or 1)
    found: dict[str, list[list[Line]]] = {}
    for name, share in (("train", 1 - settings.dev_share), ("dev", settings.dev_share)):
        own = [text for text in texts if held_out(text, settings.dev_share) == (name == "dev")] or texts
        mixed = [misses[i] for i in rng.permutation(len(misses))]
        kinds = (
            (WORD, phrases.leads(word), settings.n_synthesised), (NEAR, mixed, settings.n_near), (GENERAL, own, settings.n_sentences)
        )  # fmt: skip
        found[name] = []
        for i, (kokoro, said, n) in enumerate(kinds):
            heard = [it for it in casts[kokoro] if name in parts_of(it[0], settings.dev_share)]
            drawn = np.random.default_rng((SEED, i, name == "dev"))
            found[name].append(lines(said, round(n * share), heard, drawn) if n else [])
        found[name][0] = [
            _foreign(line, word, np.random.default_rng((SEED, i))) for i, line in enumerate(found[name][0])
        ]
        found[name][2] = [_short(line) for line in found[name][2]]
    return found


def _foreign(line: Line, word: str, rng: np.random.Generator) -> Line:
    if not line.voice.startswith("kokoro") or rng.random() >= FOREIGN:
        return line
    return line._replace(text=line.text.replace(word, accented(word, rng)))


def _short(line: Line) -> Line:
    return (
        line._replace(text=" ".join(line.text.split()[:N_WORDS])) if line.voice.startswith("kokoro") else line
    )

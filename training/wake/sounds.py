"""What a wake word is learnt from: activates, other speech and backgrounds, for training and for dev."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from entrain.asr import RATE_HZ
from entrain_training.clips import LeftOut, Samples, held_out, read_folders
from entrain_training.schedule import TrainingError
from entrain_training.wake import voices
from entrain_training.wake.recording import PIECE_S, Activate, found_in, labelled, made_backgrounds, pieces
from entrain_training.wake.script import script
from entrain_training.wake.settings import Wake

Say = Callable[[str], None]


@dataclass
class Part:
    """Training or dev."""

    real: list[Activate] = field(default_factory=list)
    made: list[Activate] = field(default_factory=list)
    """Synthesised."""
    negatives: list[Samples] = field(default_factory=list)
    near: list[Samples] = field(default_factory=list)
    """Near misses and parts of the phrase."""
    backgrounds: list[Samples] = field(default_factory=list)

    def counts(self) -> dict[str, int]:
        return {name: len(found) for name, found in vars(self).items()}


@dataclass
class Sources:
    """Where the sound comes from: folders, or files one by one."""

    word: str
    positives: Sequence[Path] = ()
    negatives: Sequence[Path] = ()
    backgrounds: Sequence[Path] = ()
    near: Sequence[str] = ()
    text: Path | None = None
    """A turn table: general speech to synthesise."""
    labels: Path | None = None
    """A CSV with the columns file and end_s: where the word ends, of recordings in `positives`."""
    voices: Sequence[str] | None = None
    """For synthesis; None: all that are installed."""
    start_from: Path | None = None
    """An earlier wake word."""

    def about(self) -> dict[str, Any]:
        """JSON-able; `of` reads it."""
        found = {k: [str(x) for x in v] if isinstance(v, (list, tuple)) else v for k, v in vars(self).items()}
        return {k: str(v.resolve()) if isinstance(v, Path) else v for k, v in found.items()}

    @classmethod
    def of(cls, about: dict[str, Any]) -> Sources:
        def path(name: str) -> Path | None:
            return Path(about[name]) if about[name] else None

        folders = {k: [Path(x) for x in about[k]] for k in ("positives", "negatives", "backgrounds")}
        return cls(
            about["word"], **folders, near=about["near"], text=path("text"), labels=path("labels"), voices=about["voices"],
            start_from=path("start_from"),
        )  # fmt: skip


def gather(
    sources: Sources,
    settings: Wake,
    cache: Path,
    left_out: LeftOut,
    say: Say,
    done: Callable[[int, int], None],
) -> dict[str, Part]:
    """ "train" and "dev". `done` is told how many lines are spoken, and of how many. Raises `TrainingError` where there is nothing to
    learn the word, or its absence, from."""
    parts = {"train": Part(), "dev": Part()}
    ends = labelled(sources.labels) if sources.labels else {}
    _real(sources, settings, ends, parts, left_out)
    _synthesised(sources, settings, cache, parts, left_out, done)
    for name, part in parts.items():
        if not part.real and not part.made:
            raise TrainingError(
                f"nothing says {sources.word!r} in the {name} part. Give more recordings with --positives, or let voices say it."
            )
        if not part.negatives and not part.near:
            raise TrainingError(
                f"no other sound in the {name} part: one class only. Give recordings with --negatives."
            )
        if not part.backgrounds:
            part.backgrounds = made_backgrounds(part.negatives, np.random.default_rng(0))
    for line in left_out.told():
        say(line)
    return parts


def _real(
    sources: Sources, settings: Wake, ends: dict[str, float], parts: dict[str, Part], left_out: LeftOut
) -> None:
    def part(path: Path) -> Part:
        return parts["dev" if held_out(path.name, settings.dev_share) else "train"]

    clips = read_folders(sources.positives, left_out)
    for name in ends.keys() - {clip.path.name for clip in clips}:
        left_out.add(Path(name), "labelled, but not among the positives")
    for clip in clips:
        if activate := found_in(clip, ends.get(clip.path.name), left_out):
            part(clip.path).real.append(activate)
    for clip in read_folders(sources.negatives, left_out):
        part(clip.path).negatives += pieces(clip.samples)
    for clip in read_folders(sources.backgrounds, left_out):
        part(clip.path).backgrounds.append(clip.samples)


def _synthesised(
    sources: Sources,
    settings: Wake,
    cache: Path,
    parts: dict[str, Part],
    left_out: LeftOut,
    done: Callable[[int, int], None],
) -> None:
    """Drawn from a fixed seed, so that another training finds its lines in the cache."""
    wanted = script(
        sources.word,
        sources.near,
        sources.text,
        voices.installed() if sources.voices is None else sources.voices,
        settings,
    )
    total, n_done = sum(len(lines) for kinds in wanted.values() for lines in kinds), 0

    def one() -> None:
        nonlocal n_done
        n_done += 1
        done(n_done, total)

    for name, kinds in wanted.items():
        words, near, general = (voices.spoken(lines, cache, left_out, one) for lines in kinds)
        parts[name].made += [Activate(clip.samples, len(clip.samples) / RATE_HZ) for clip in words]
        parts[name].near += [clip.samples[: int(PIECE_S * RATE_HZ)] for clip in near]
        parts[name].negatives += [piece for clip in general for piece in pieces(clip.samples)]

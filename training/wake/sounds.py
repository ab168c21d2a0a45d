"""What a wake word is learnt from: activates, other speech and backgrounds, each for training and for dev, each with where its word ends."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from entrain.asr import RATE_HZ
from entrain.vad import VAD, load_vad
from entrain_training.clips import Clip, LeftOut, Samples, held_out, read_folders
from entrain_training.schedule import TrainingError
from entrain_training.wake import phrases, voices
from entrain_training.wake.settings import Wake

PIECE_S = 3.0  # of long recordings: a mix has room for several
MAX_S = 4.0  # an activate that is longer could not be placed
MARGIN_S = 0.3  # of a recording with the word, before and after the speech in it
BABBLE = 5  # voices
Say = Callable[[str], None]


class Activate(NamedTuple):
    """A recording with the word in it, once."""

    samples: Samples  # (N,)
    end_s: float
    """Where the word ends."""


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


def found_in(clip: Clip, end_s: float | None, left_out: LeftOut) -> Activate | None:
    """The speech in it, with a little around; the word ends where it does, if no label says otherwise."""
    length_s = len(clip.samples) / RATE_HZ
    spoken = speech_s(clip.samples)
    if end_s is not None and not 0 < end_s <= length_s:
        left_out.add(clip.path, f"labelled to end outside the recording ({end_s} s)")
        return None
    if end_s is None and spoken is None:
        left_out.add(clip.path, "no speech heard in it, and no label says where the word ends")
        return None
    last_s = end_s if end_s is not None else spoken[1] if spoken else length_s
    first_s = max(0.0, min(spoken[0] if spoken else 0.0, last_s - 0.1) - MARGIN_S, last_s + MARGIN_S - MAX_S)
    start, stop = round(first_s * RATE_HZ), round((last_s + MARGIN_S) * RATE_HZ)
    return Activate(faded(clip.samples[start:stop]), last_s - first_s)


def speech_s(samples: Samples, threshold: float = 0.5) -> tuple[float, float] | None:
    """From where to where somebody speaks, by Silero's network, at a level that it knows well; None where nobody does."""
    stream = _detector().stream()
    speech = np.flatnonzero(stream.feed(samples / (np.abs(samples).max() + 1e-9) * 0.5) >= threshold)
    return (speech[0] * stream.step_s, (speech[-1] + 1) * stream.step_s) if len(speech) else None


@lru_cache(maxsize=1)
def _detector() -> VAD:
    return load_vad("silero")


def _synthesised(
    sources: Sources,
    settings: Wake,
    cache: Path,
    parts: dict[str, Part],
    left_out: LeftOut,
    done: Callable[[int, int], None],
) -> None:
    """Drawn from a fixed seed, so that another training finds its lines in the cache."""
    wanted = wanted_lines(sources, settings)
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


def wanted_lines(sources: Sources, settings: Wake) -> dict[str, list[list[voices.Line]]]:
    """For training and dev: the word, near misses, general speech. Of espeak's voices dev has its own; so it has of the sentences."""
    if not settings.n_synthesised + settings.n_near + settings.n_sentences:
        return {}
    rng = np.random.default_rng(0)
    heard: dict[str, list[tuple[str, float]]] = {"train": [], "dev": []}
    for voice in voices.cast(voices.installed() if sources.voices is None else sources.voices):
        is_many = voice[0].startswith("espeak")
        for part in ("dev" if held_out(voice[0], settings.dev_share) else "train",) if is_many else heard:
            heard[part].append(voice)
    misses = [form.format(p) for p in [*sources.near, *phrases.near(sources.word)] for form in phrases.WITHIN]
    texts = phrases.sentences(sources.word, sources.text, settings.n_sentences or 1)
    found: dict[str, list[list[voices.Line]]] = {}
    for name, share in (("train", 1 - settings.dev_share), ("dev", settings.dev_share)):
        own = [text for text in texts if held_out(text, settings.dev_share) == (name == "dev")] or texts
        mixed = [misses[i] for i in rng.permutation(len(misses))]
        found[name] = [
            voices.lines(said, round(n * share), heard[name], rng) if n else []
            for said, n in (
                (phrases.leads(sources.word), settings.n_synthesised), (mixed, settings.n_near), (own, settings.n_sentences)
            )
        ]  # fmt: skip
    return found


def labelled(path: Path) -> dict[str, float]:
    """File name → where its word ends, in seconds."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return {Path(row["file"]).name: float(row["end_s"]) for row in csv.DictReader(file)}
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise TrainingError(
            f"{path} can't be used ({error!r}); a CSV with the columns file and end_s is needed."
        ) from error


def pieces(samples: Samples) -> list[Samples]:
    """Long recordings in stretches of 3 s."""
    return [
        faded(piece) for piece in np.array_split(samples, max(1, -(-len(samples) // int(PIECE_S * RATE_HZ))))
    ]


def faded(samples: Samples, over_s: float = 0.02) -> Samples:
    """Without a click where it was cut."""
    n = min(int(over_s * RATE_HZ), len(samples) // 2)
    ramp = np.linspace(0, 1, n, dtype=np.float32)
    out = samples.astype(np.float32, copy=True)
    if n:
        out[:n] *= ramp
        out[-n:] *= ramp[::-1]
    return out


def made_backgrounds(speech: Sequence[Samples], rng: np.random.Generator, n: int = 24) -> list[Samples]:
    """Where none are given: noise of several colours, hum, and a babble of what speech there is; 5 s each."""
    length = 5 * RATE_HZ
    hz = np.maximum(np.fft.rfftfreq(length, 1 / RATE_HZ), 20.0)
    found: list[Samples] = []
    for i in range(n):
        spectrum = np.fft.rfft(rng.standard_normal(length)) * hz ** -rng.uniform(0, 1)
        sound = np.fft.irfft(spectrum, length)
        if i % 3 == 1:
            t = np.arange(length) / RATE_HZ
            sound = 0.05 * sound / sound.std() + sum(np.sin(2 * np.pi * k * 50 * t) / k for k in (1, 2, 3, 5))
        if i % 3 == 2 and speech:
            sound = sum(np.resize(speech[int(rng.integers(len(speech)))], length) for _ in range(BABBLE))
        found.append((0.1 * sound / (np.std(sound) + 1e-9)).astype(np.float32))
    return found

"""Clean speech to mix from, and noise: each speaker and each noise recording in one part only, so that dev and test are unheard."""

from __future__ import annotations

import csv
import gzip
import re
from collections import defaultdict
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple

from entrain.asr import RATE_HZ
from entrain.tts import load_tts
from entrain_training.augment import Samples, at_peak
from entrain_training.clips import LeftOut, find, held_out, read
from entrain_training.schedule import TrainingError
from entrain_training.vad.labels import FRAME, Labels, runs, spoken

Part = Literal["train", "dev", "test"]
TEST_SHARE, DEV_SHARE = 0.2, 0.1
NOISE_DEV_SHARE = 0.25  # of noise recordings: how often noise is taken for speech is told by few of them, some of them loud ones
EDGE = 10  # frames kept before and after the speech of a clip
NAMINGS = (
    re.compile(r"^(?:\d\d-){6}(?P<who>\d\d)$"),  # RAVDESS: the actor is last
    re.compile(r"^[a-z]+_(?P<who>\d\d)[ab]\d\d[A-Z]{1,2}[a-z]?$"),  # EMODB, after its emotion
    re.compile(r"^\d_(?P<who>[a-z]+)_\d+$"),  # Free Spoken Digits
    re.compile(r"^(?P<who>[0-9a-f]{8})_nohash_\d+$"),  # Speech Commands
    re.compile(r"_(?P<who>(?:fe)?male_[a-z]{2}-[A-Z]{2}-\w+-[A-Z])$"),  # a synthesiser's voice
)
ESC = re.compile(r"(\d)-(\d+)-[A-Z]")  # fold, and the recording that it was cut from


class Utterance(NamedTuple):
    """A clip, cut to its speech."""

    samples: Samples  # (N,), its peak at full scale
    labels: Labels  # (N // 160,)


Voices = list[list[Utterance]]
"""For each speaker what they say; those that no name tells apart are one to a folder."""


def speaker(path: Path) -> str | None:
    """By the corpus's own naming; None where that does not tell."""
    found = [match["who"] for naming in NAMINGS if (match := naming.search(path.stem))]
    return f"{path.parent.name}/{found[0]}" if found else None


def part_of(name: str) -> Part:
    """By its hash: a fifth for the test, a tenth for dev."""
    if held_out(name, TEST_SHARE, "test"):
        return "test"
    return "dev" if held_out(name, DEV_SHARE / (1 - TEST_SHARE), "dev") else "train"


def noise_part(path: Path) -> Part:
    """ESC-10's fold 4 is the test; of the rest a quarter of the recordings that clips were cut from is dev. Other names by their hash."""
    match = ESC.search(path.stem)
    if not match:
        return part_of(path.stem)
    if match[1] == "4":
        return "test"
    return "dev" if held_out(match[2], NOISE_DEV_SHARE, "dev") else "train"


def voices(folders: Sequence[Path], part: Part, left_out: LeftOut, texts: Path | None = None, n_texts: int = 300) -> Voices:  # fmt: skip
    """Everybody of that part in the folders; in training, also `n_texts` turns of a turn table by the default voice."""
    paths = [
        path for folder in folders for path in find(folder) if part_of(speaker(path) or path.stem) == part
    ]
    found: dict[str, list[Utterance]] = defaultdict(list)
    for path, samples in read(paths, left_out):
        said = cut(samples)
        found[speaker(path) or str(path.parent)] += said
        if not said:
            left_out.add(path, "nothing in it stands out as speech")
    if texts and part == "train":
        found["hibari"] = synthesised(texts, n_texts)
    if not (kept := [said for said in found.values() if said]):
        raise TrainingError(
            f"no speech of the {part} part is in {', '.join(map(str, folders))}; give more speakers."
        )
    return kept


def cut(samples: Samples) -> list[Utterance]:
    """The clip from its first speech to its last; nothing where there is none."""
    labels = spoken(samples)
    found = runs(labels)
    if not len(found):
        return []
    start, end = max(0, found[0, 0] - EDGE), min(len(labels), found[-1, 1] + EDGE)
    return [Utterance(at_peak(samples[start * FRAME : end * FRAME], 0.0), labels[start:end])]


def synthesised(table: Path, n: int) -> list[Utterance]:
    """What people said in a turn table, each fiftieth turn of 6 to 40 words, by the default voice."""
    with gzip.open(table, "rt", encoding="utf-8") as file:
        said = (row["text"] for row in csv.DictReader(file) if 6 <= int(row["n_words"]) <= 40)
        lines = list(islice(said, 0, 50 * n, 50))
    voice = load_tts("hibari")
    return [u for line in lines for u in cut(voice.synthesise(line).audio.resample(RATE_HZ).samples)]


def noises(folder: Path, part: Part, left_out: LeftOut) -> list[Samples]:
    """The recordings of that part. Raises `TrainingError` where there are none."""
    clips = read([path for path in find(folder) if noise_part(path) == part], left_out)
    if not clips:
        raise TrainingError(f"no noise of the {part} part is in {folder}; give more recordings.")
    return [clip.samples for clip in clips]

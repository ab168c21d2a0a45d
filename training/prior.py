"""What is known of a speaker before they speak: the population's mean and spreads, from real recordings.

    python -m entrain_training.prior ../shared/data        writes entrain/data/prior.json

Pitch, range, level and voice quality come from EMODB's neutral readings (10 speakers) and a two-channel dialogue (2); rate from the
AMI and PriMock57 turn tables. Within a speaker: the deviation of turns about their speaker's mean. Between: that of speakers' means.
"""

from __future__ import annotations

import csv
import gzip
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from entrain.audio import Audio
from entrain.prosody import extract
from entrain.syllables import count_syllables
from entrain.turn import FEATURES, SCHEMA

LOW_HIGH_ST = 8.1  # 160 Hz parts low voices from high ones
OUT = Path(__file__).parents[1] / "entrain" / "data" / "prior.json"


def emodb(root: Path) -> Iterator[tuple[str, Audio]]:
    """Neutral readings only: its angry ones are six semitones higher, which no conversation is on average."""
    for path in sorted((root / "emotion" / "emodb4").glob("neutral_*.flac")):
        yield "emodb" + path.stem.split("_")[1][:2], Audio.read(path)


def games(root: Path) -> Iterator[tuple[str, Audio]]:
    """The two-channel dialogue, cut into turns where the speaker pauses for half a second."""
    for side in "AB":
        audio = Audio.read(root / "two_channel" / f"examples_data_test-{side}.wav")
        lines = (
            (root / "two_channel" / f"examples_data_test-{side}.words")
            .read_text(encoding="utf-8")
            .splitlines()
        )
        words = [
            (float(s), float(e)) for s, e, word in (line.split(maxsplit=2) for line in lines) if word != "#"
        ]
        start_s, last_s = words[0]
        for s, e in [*words[1:], (np.inf, np.inf)]:
            if s - last_s >= 0.5:
                if last_s - start_s >= 0.8:
                    yield "games" + side, audio.part(start_s, last_s)
                start_s = s
            last_s = e


def rates(root: Path) -> dict[str, list[float]]:
    """Syllables per second by speaker, of turns of four syllables and more (shorter ones are mostly "okay"); counted as live, not as
    the tables do, whose vowel groups are 7 % more."""
    found: dict[str, list[float]] = defaultdict(list)
    for name in ("ami", "primock57"):
        with gzip.open(root / "conversations" / f"{name}.csv.gz", "rt", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                n_syllables, speech_s = count_syllables(row["text"]), float(row["speech_s"] or 0)
                if n_syllables >= 4 and speech_s > 0:
                    found[f"{name}/{row['conv']}/{row['speaker']}"].append(n_syllables / speech_s)
    return found


def spreads(by_speaker: dict[str, list[float]]) -> dict[str, float]:
    kept = [np.array(values) for values in by_speaker.values() if len(values) >= 3]
    means = np.array([values.mean() for values in kept])
    within = np.concatenate([values - values.mean() for values in kept])
    return {
        # turns of a speaker's own that weigh as much as the population: the best linear estimate of their mean
        "pseudo_count": round(float(within.var() / means.var(ddof=1)), 4),
        "mean": round(float(means.mean()), 4),
        "within_sd": round(float(within.std()), 4),
        "between_sd": round(float(means.std(ddof=1)), 4) if len(means) > 1 else 0.0,
        "n_speakers": len(kept),
        "n_turns": len(within),
    }


def main(
    data: Annotated[Path, typer.Argument(help="Folder with emotion/, vad/ and conversations/.")],
    out: Annotated[Path, typer.Option(help="Where the prior is written.")] = OUT,
) -> None:
    values: dict[str, dict[str, list[float]]] = {name: defaultdict(list) for name in FEATURES}
    for reader in (emodb, games):
        for speaker, audio in reader(data):
            features = extract(audio)
            for name in FEATURES:
                if name != "rate_syll_s" and (value := getattr(features, name)) is not None:
                    values[name][speaker].append(value)
    values["rate_syll_s"] = rates(data)
    prior: dict[str, object] = {
        "schema": SCHEMA,
        "sources": "EMODB, UBA Games, AMI, PriMock57: see training/prior.py",
        "any": {name: spreads(values[name]) for name in FEATURES},
    }
    pitch = values["f0_mean_st"]
    for register in ("low", "high"):
        of_register = {
            s: v for s, v in pitch.items() if (float(np.median(v)) < LOW_HIGH_ST) == (register == "low")
        }
        prior[register] = {"f0_mean_st": spreads(of_register)}
    out.write_text(json.dumps(prior, indent=1) + "\n")
    print(json.dumps(prior, indent=1))
    print(f"Written to {out}. Every normaliser starts from it.")


if __name__ == "__main__":
    typer.run(main)

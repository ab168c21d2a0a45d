"""The wake word's page: "computer" from 50 recordings of one corpus and synthesis, tested on another; and "hey jarvis" beside a ready word."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from entrain_training.clips import find
from entrain_training.sections import Section
from entrain_training.wake.create import create
from entrain_training.wake.evaluate import evaluate
from entrain_training.wake.measure import Test
from entrain_training.wake.settings import Network, Wake
from entrain_training.wake.sounds import Sources
from entrain_training.wake.speakers import fetched
from entrain_training.wake.voices import installed

WORD = "computer"
SEED = 1
N_REAL = 50
TRAIN_FOLDS, TEST_FOLDS = "123", "4"  # of ESC-10
NEAR_VOICE = "piper"  # says the near misses of the test
N_READY = 25  # recordings of each folder for the ready word, each of which loads it anew
NETWORKS: dict[Network, dict[str, Any]] = {
    "embedding": {},
    "conv-gru": {"epochs": 16, "passes": 2, "batch_size": 16},
}
"""Where they differ from the defaults of `entrain wake create`."""
QUICK: dict[str, Any] = {
    "n_synthesised": 6, "n_near": 6, "n_sentences": 6, "mixes": 8, "passes": 1, "epochs": 1, "dev_mixes": 4, "batch_size": 8
}  # fmt: skip


def make(data: Path, out: Path, quick: bool, say: Callable[[str], None]) -> list[Section]:
    """Trains what is not there yet, and evaluates. Raises `TrainingError`."""
    trained = {network: train(data, out, network, quick, say) for network in NETWORKS}
    others = ["emotion", "wake/picovoice/smart_mirror", "wake/digits", "vad/ami"]
    folders = [data / name for name in others]
    noise = folds(data / "noise" / "esc10", TEST_FOLDS)
    computer, jarvis = (data / "wake" / "picovoice" / name for name in ("computer", "jarvis"))
    cut = 6 if quick else None
    found = evaluate(
        {f"{WORD}, {network}": str(path) for network, path in trained.items()},
        Test([computer], [jarvis, *folders], noise, voices=[NEAR_VOICE], only=cut), out / "voices", say,
    )  # fmt: skip
    return found + evaluate(
        {"hey jarvis": "hey jarvis"},
        Test([jarvis], [computer, *folders], noise, voices=[NEAR_VOICE], only=1 if quick else N_READY), out / "voices", say,
    )  # fmt: skip


def train(data: Path, out: Path, network: Network, quick: bool, say: Callable[[str], None]) -> Path:
    """Of `N_REAL` clips of precise/computer_en; what is tested on, nothing hears."""
    folder = out / network
    if (folder / "card.json").exists():
        return folder
    say(f"training {WORD}, {network}")
    wake = data / "wake"
    speech = [
        *sorted(p for p in (wake / "precise").iterdir() if "computer" not in p.name),
        wake / "speech_commands",
    ]
    positives = find(wake / "precise" / "computer_en")[:N_REAL]
    if quick:
        speech, positives = [*find(speech[-1])[:30]], positives[:10]
    noise = folds(data / "noise" / "esc10", TRAIN_FOLDS)[: 10 if quick else None]
    text = data / "conversations" / "ami.csv.gz"
    sources = Sources(
        WORD, positives, speech, noise, text=text, voices=None if quick else all_voices(out, say)
    )
    settings = Wake(seed=SEED, network=network, **(NETWORKS[network] | (QUICK if quick else {})))
    create(sources, folder, settings, cache=out / "voices", resume=(folder / "settings.json").exists())
    return folder


def all_voices(out: Path, say: Callable[[str], None]) -> list[str]:
    """Those that are installed; of Kokoro's speakers all 54, where npm can fetch them."""
    found = installed()
    if "kokoro" not in found:
        return found
    say("Kokoro's speakers")
    folder = fetched(out / "kokoro")
    return [f"kokoro:{folder}" if voice == "kokoro" and folder else voice for voice in found]


def folds(folder: Path, numbers: str) -> list[Path]:
    return [path for path in find(folder) if (fold := re.search(r"_(\d)-", path.name)) and fold[1] in numbers]

"""One training of a detector: its data found and parted, learnt, and written for use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from entrain_training.augment import room_responses
from entrain_training.clips import LeftOut
from entrain_training.schedule import TrainingError
from entrain_training.study import learn
from entrain_training.vad.export import begin_from, write
from entrain_training.vad.meetings import Crops, Meeting, read_meetings
from entrain_training.vad.mixes import Mixes
from entrain_training.vad.task import Detection, Part, Settings, quieten
from entrain_training.vad.voices import noises, voices

N_DEV_ROOMS = 16
SPEECH = ("emotion", "wake/picovoice", "wake/digits", "wake/speech_commands", "turn_phrases")
"""Of a folder laid out as ../shared/data, what is clean speech."""

Say = Callable[[str], None]


class Sources(NamedTuple):
    """Where the sound is."""

    speech: tuple[Path, ...]
    noise: Path
    meetings: Path | None = None
    texts: Path | None = None
    """A turn table (.csv.gz): the default voice says some of its turns."""

    @classmethod
    def within(cls, data: Path) -> Sources:
        """Of a folder laid out as ../shared/data."""
        speech = tuple(data / name for name in SPEECH if (data / name).exists())
        if not speech:
            raise TrainingError(
                f"{data} holds none of {', '.join(SPEECH)}. Name the folders: --speech, --noise."
            )
        return cls(
            speech, data / "noise", there(data / "vad" / "ami"), there(data / "conversations" / "ami.csv.gz")
        )

    def names(self) -> dict[str, Any]:
        """For settings.json."""
        return {
            "speech": [str(folder.resolve()) for folder in self.speech],
            **{name: str(path.resolve()) if path else None for name, path in zip(self._fields[1:], self[1:], strict=True)},
        }  # fmt: skip

    @classmethod
    def of(cls, about: dict[str, Any]) -> Sources:
        """As `names` wrote them."""
        paths = (Path(about[name]) if about[name] else None for name in cls._fields[1:])
        return cls(tuple(map(Path, about["speech"])), *paths)  # pyright: ignore[reportArgumentType]


def there(path: Path) -> Path | None:
    return path if path.exists() else None


class Mixers(NamedTuple):
    """Scenes to learn from, and scenes of other voices, noises and rooms to judge by."""

    train: Mixes
    dev: Mixes


def mixers(sources: Sources, left_out: LeftOut, n_texts: int = 300) -> Mixers:
    return Mixers(
        Mixes(
            voices(sources.speech, "train", left_out, sources.texts, n_texts),
            noises(sources.noise, "train", left_out), room_responses(),
        ),
        Mixes(
            voices(sources.speech, "dev", left_out), noises(sources.noise, "dev", left_out),
            room_responses(N_DEV_ROOMS, seed=1),
        ),
    )  # fmt: skip


def fit(
    sources: Sources, run: Path, settings: Settings, *, start: Path | None = None, resume: bool = False,
    console: Console | None = None, mixes: Mixers | None = None, meetings: Sequence[Meeting] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Train; writes config.json, model.onnx, model.safetensors, settings.json and history.json to `run`, and returns what there is to
    tell. `start`: a run to take the weights from. `mixes` and `meetings`, where they are read already, save the reading."""
    left_out = LeftOut()
    mixes = mixes or mixers(sources, left_out, settings.texts)
    if meetings is None:
        meetings = read_meetings(sources.meetings, left_out) if sources.meetings and settings.real else []
    about = sources.names() | {
        "start": str(start) if start else None, "meeting_names": [m.name for m in meetings],
        "n_speakers": len(mixes.train.voices), "n_noises": len(mixes.train.noise),
    }  # fmt: skip
    parts = [Part(mixes.train, 1 - settings.real if meetings else 1.0)]
    if meetings:
        parts.append(Part(Crops(meetings, mixes.train.noise), settings.real))
    task = Detection(settings, parts, mixes.dev, about)
    if start:
        begin_from(task.network, start)
    history = learn(task, run, settings, console, resume)
    quieten(task.network, mixes.dev.noise, settings.noise_alarm)
    config = write(task.network, run)
    best = min(history, key=lambda row: row["dev_loss"]) if settings.keep == "best" else history[-1]
    return {
        "run": str(run), "network": config.name, "streams": config.streams, "epoch": best["epoch"], "n_epochs": len(history),
        "dev_auc": best["dev_auc"], "parameters": sum(p.numel() for p in task.network.parameters()),
        "left_out": left_out.told(),
    }  # fmt: skip

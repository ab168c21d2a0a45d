"""Make a wake word: gather the sound, train, choose the threshold on the dev part, write it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from entrain.asr import RATE_HZ
from entrain.wake import WakeWord
from entrain_training import study
from entrain_training.augment import mixed, one_of
from entrain_training.clips import LeftOut, Samples
from entrain_training.run import keep, keep_json
from entrain_training.schedule import TrainingError
from entrain_training.wake import export
from entrain_training.wake.mix import Mixer
from entrain_training.wake.scores import PAD_S, accepted, all_scores, hours, missed, scores, threshold_for
from entrain_training.wake.settings import Wake
from entrain_training.wake.sounds import Part, Sources, gather
from entrain_training.wake.task import DEV_SEED, Spotting

DEV_SNR_DB = 10.0
TURNS = 3  # times that the dev part's other sound is heard for the threshold, each time otherwise


class Created(NamedTuple):
    path: Path
    """For `load_wake`."""
    card: dict[str, Any]
    """What it was made from, its threshold, and what that costs on the dev part; also OUT/card.json."""


def create(
    sources: Sources, out: Path, settings: Wake, file: Path | None = None, cache: Path | None = None,
    console: Console | None = None, resume: bool = False,
) -> Created:  # fmt: skip
    """In the folder `out`; a head also as `file`. `cache`: where synthesis is kept, OUT/voices if not given. Raises `TrainingError`."""
    if file and settings.network != "embedding":
        raise TrainingError(f"--out is {file}; the network {settings.network} needs a folder.")
    console, left_out = console or Console(quiet=True), LeftOut()
    parts = heard(sources, settings, cache or out / "voices", left_out, console)
    counts = {name: part.counts() for name, part in parts.items()}
    task = Spotting(settings, parts, sources.about() | {"counts": counts, "sound": digest(parts)})
    if sources.start_from:
        export.start_from(task.network, sources.start_from)
    history = study.learn(task, out, settings, console, resume)
    path = export.write(task.network, out, sources.word, settings, threshold=0.5)
    chosen = threshold(export.load(path), parts["dev"], settings, console)
    export.with_threshold(path, chosen["threshold"])
    card = {
        "word": sources.word, "network": settings.network, "seed": settings.seed, "epochs": len(history),
        "parameters": sum(p.numel() for p in task.network.parameters()), "counts": counts,
        "left_out": left_out.told(), **chosen,
    }  # fmt: skip
    keep_json(out / "card.json", card)
    if file:
        keep(file, path.read_bytes())
    return Created(file or path, card)


def folder_and_file(out: Path) -> tuple[Path, Path | None]:
    """Where the training is kept, and the file that is wanted: NAME.safetensors is trained in NAME-training/."""
    return (out.with_name(f"{out.stem}-training"), out) if out.suffix == ".safetensors" else (out, None)


def heard(
    sources: Sources, settings: Wake, cache: Path, left_out: LeftOut, console: Console
) -> dict[str, Part]:
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True) as bars:
        bar = bars.add_task("Voices speak", total=None)
        return gather(
            sources, settings, cache, left_out, lambda line: console.print(line, highlight=False),
            lambda n, of: bars.update(bar, completed=n, total=of),
        )  # fmt: skip


def digest(parts: dict[str, Part]) -> str:
    """Of all sound: a training that goes on must find the same."""
    found = hashlib.sha256()
    for part in parts.values():
        for activate in (*part.real, *part.made):
            found.update(activate.samples.tobytes())
        for samples in (*part.negatives, *part.near, *part.backgrounds):
            found.update(samples.tobytes())
    return found.hexdigest()[:16]


def threshold(wake: WakeWord, dev: Part, settings: Wake, console: Console) -> dict[str, Any]:
    """That which keeps to the false accepts per hour that are allowed, on the dev part's general speech, two thirds of it in noise and
    voices varied; and what is missed at it of the dev part's words at 10 dB."""
    rng = np.random.default_rng(DEV_SEED)
    others = without_word(dev, settings, rng)
    with console.status("choosing the threshold"):
        found = all_scores(wake, others)
        length = hours(others)
        chosen = threshold_for(found, length, settings.false_accepts_per_hour)
        words = {
            kind: [scores(wake, noisy(activate.samples, dev, rng)) for activate in pool]
            for kind, pool in (("real", dev.real), ("synthesised", dev.made)) if pool
        }  # fmt: skip
    return {
        "threshold": chosen, "dev_hours": round(length, 3),
        "dev_false_accepts_per_hour": accepted(found, chosen) / length,
        "dev_miss_10_db": {kind: missed(heard, chosen).model_dump() for kind, heard in words.items()},
    }  # fmt: skip


def without_word(dev: Part, settings: Wake, rng: np.random.Generator) -> list[Samples]:
    """The dev part's general speech, as it is and varied in noise, in stretches of 10 s. Not the near misses: nobody says as many."""
    mixer = Mixer(dev, settings, [])
    n = round(settings.mix_s * RATE_HZ)
    found: list[Samples] = []
    for turn in range(TURNS):
        pool = dev.negatives or dev.near
        shown = [mixer.varied(pool[i], rng)[0] if turn else pool[i] for i in rng.permutation(len(pool))]
        sound = np.concatenate([np.pad(s, (0, RATE_HZ // 5)) for s in shown])
        cut = [sound[i : i + n] for i in range(0, len(sound), n)]
        found += [mixed(s, one_of(dev.backgrounds, rng), DEV_SNR_DB, rng) if turn else s for s in cut]
    return found


def noisy(samples: Samples, dev: Part, rng: np.random.Generator) -> Samples:
    padded = np.pad(samples, round(PAD_S * RATE_HZ))
    return mixed(padded, one_of(dev.backgrounds, rng), DEV_SNR_DB, rng)

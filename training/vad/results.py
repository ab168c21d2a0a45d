"""The voice activity part of the results page: trains what is not trained yet, and judges it on what it never heard."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from entrain_training.augment import room_responses
from entrain_training.clips import LeftOut
from entrain_training.sections import Section
from entrain_training.vad import published
from entrain_training.vad.evaluate import evaluate, tests
from entrain_training.vad.fit import Mixers, Sources, fit, mixers
from entrain_training.vad.meetings import Meeting, groups, read_meetings
from entrain_training.vad.mixes import Mixes
from entrain_training.vad.rivals import Listener, ours, rivals
from entrain_training.vad.task import Settings
from entrain_training.vad.voices import noises, voices

Say = Callable[[str], None]
NETWORKS = ("cdnn",)
SEED = 0


def make(data: Path, out: Path, quick: bool, say: Say) -> list[Section]:
    """Everything under `out`; `quick` does the same with next to no training."""
    left_out = LeftOut()
    sources = Sources.within(data)
    meetings = read_meetings(data / "vad" / "ami", left_out)
    mixes = mixers(sources, left_out, n_texts=3 if quick else 300)
    listeners = [
        listener for name in NETWORKS for listener in crossed(name, sources, mixes, meetings, out, quick, say)
    ]
    others, missing = rivals()
    what = tests(meetings, sources.noise, sources.speech, left_out, n_scenes=2 if quick else 24)
    note = (
        "make results-aux. Ours learnt from scenes alone (“scenes”), or then also from the meetings of other people, five groups "
        f"crossed (“meetings”): nobody in the test was heard in training. Seed {SEED}."
    )
    section = evaluate([*listeners, *others], what, [*missing, *left_out.told()], note, say)
    return [section, table(sources, mixes, out / "published", quick, say)]


def crossed(
    name: str, sources: Sources, mixes: Mixers, meetings: Sequence[Meeting], out: Path, quick: bool, say: Say
) -> list[Listener]:  # fmt: skip
    """A network that learnt from scenes only, and its five children, each of which also learnt from all meetings but those of one
    group of people."""

    def run(folder: Path, settings: Settings, start: Path | None, known: Sequence[Meeting]) -> None:
        if (folder / "config.json").exists():
            return
        say(f"training {folder.name}")
        resume = (folder / "settings.json").exists()
        fit(sources, folder, settings, start=start, resume=resume, console=Console(quiet=True), mixes=mixes, meetings=known)  # fmt: skip

    base, folds, of = out / f"{name}-scenes", [], {}
    run(base, scenes(name, quick), None, [])
    for i, group in enumerate(groups(meetings)):
        folder = out / f"{name}-without-{'-'.join(sorted(m.name for m in group))}"
        run(folder, further(name, quick), base, [m for m in meetings if m not in group])
        folds.append(folder)
        of |= {m.name: i for m in group}
    return [ours(f"{name}, meetings", folds, of), ours(f"{name}, scenes", [base])]


def scenes(name: str, quick: bool) -> Settings:
    size = {"epochs": 1, "steps": 2, "dev_scenes": 1} if quick else {"epochs": 30, "steps": 150}
    return Settings(network=name, seconds=4.0, batch_size=8, seed=SEED, **size)


def further(name: str, quick: bool) -> Settings:
    size = {"epochs": 1, "steps": 1, "dev_scenes": 1} if quick else {"epochs": 4, "steps": 30}
    return Settings(
        network=name, seconds=8.0, batch_size=10, seed=SEED, learning_rate=1e-3, real=0.6, keep="last", **size
    )


def table(sources: Sources, mixes: Mixers, out: Path, quick: bool, say: Say) -> Section:
    """The published one, again."""
    scale = published.Scale(seeds=1, scenes=2, test_scenes=1, steps=1, lengths_s=(1, 3)) if quick else published.Scale()  # fmt: skip
    left_out = LeftOut()
    test = Mixes(
        voices(sources.speech, "test", left_out), noises(sources.noise, "test", left_out), room_responses(16, seed=2)
    )  # fmt: skip
    found = published.train_all(mixes.train, test, out, scale, say)
    note = "Other voices, noises and rooms in the test than in training."
    return Section(
        name="vad-published", title="Voice activity: the published table again", note=note, grids=(published.grid(found, scale),),
        left_out=tuple(left_out.told()), data=published.data(found),
    )  # fmt: skip

"""A corpus → OUT/turns.parquet, its turns measured once, in parallel; a run that was stopped goes on where it stopped.

OUT/parts/ keeps a file for each conversation; OUT/prepare.json tells what was made from what, and what was not.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

import entrain
from entrain.turn import FEATURES, SCHEMA
from entrain_training.columns import TABLE_VERSION
from entrain_training.corpora import Conversation, guess_layout, read_corpus
from entrain_training.engines import Engine, local
from entrain_training.features import Settings, model_of_emotion
from entrain_training.parts import Made, Task, Told, failed, task_of, told_by
from entrain_training.table import FILE, replacing, write_table
from entrain_training.tally import Tally

pa: Any = import_module("pyarrow")
pq: Any = import_module("pyarrow.parquet")

Report = Callable[[Tally], object]


class PrepareError(ValueError):
    """The run had to stop; the message says why and what to do. What is done is kept."""


def prepare(
    root: str | Path, out: str | Path, layout: str = "auto", settings: Settings = Settings(), engine: Engine = local,
    limit: int | None = None, report: Report = lambda tally: None,
) -> dict[str, Any]:  # fmt: skip
    """The corpus at `root`, or its first `limit` conversations, to the folder `out`; returns what `out/prepare.json` tells.

    `report` is called after each conversation. One that fails is listed under "failed", and the rest goes on. Raises
    `CorpusError` for a corpus that can't be read and `PrepareError` where `out` can't be written.
    """
    root = Path(root).absolute()  # the processes of a cluster have other working directories
    if layout == "auto" and root.exists():  # if it doesn't, `read_corpus` says so
        layout = guess_layout(root)
    conversations = islice(read_corpus(root, layout), limit)
    about = {"corpus": str(root), "layout": layout, "limit": limit}
    return prepare_conversations(conversations, out, settings, engine, report, about)


def prepare_conversations(
    conversations: Iterable[Conversation], out: str | Path, settings: Settings = Settings(), engine: Engine = local,
    report: Report = lambda tally: None, about: dict[str, Any] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """The same for conversations from anywhere; what `about` says goes into prepare.json."""
    run = Run(Path(out), settings, report)
    for made in engine(run.tasks(conversations)):
        run.take(made)
    return run.finish(about or {})


class Run:
    """Gives the tasks that are left, writes what was made of them, and puts the table together."""

    def __init__(self, out: Path, settings: Settings, report: Report) -> None:
        self.out, self.settings, self.report = out, settings, report
        self.tally = Tally()
        if settings.emotion:
            model_of_emotion(settings.emotion)  # that there is none is known before anything is measured
        self._done: dict[Path, bool] = {}  # of each part, in the corpus's order
        with self._writing():
            (out / "parts").mkdir(parents=True, exist_ok=True)

    def tasks(self, conversations: Iterable[Conversation]) -> Iterator[Task]:
        """For the conversations whose part is not there yet, or was made from something else."""
        for conversation in conversations:
            self.tally.skipped += conversation.skipped
            task = task_of(conversation, self.settings, self.out / "parts")
            told = told_by(task.path)
            if task.path in self._done:
                self.take(failed(task, "the corpus has it twice; the first was taken"))
            elif told and told.fingerprint == task.fingerprint:
                self._count(task.path, told, new=False)
            else:
                self._done[task.path] = False
                self.tally.n_remade += told is not None
                yield task

    def take(self, made: Made) -> None:
        """Write a part, or list why there is none."""
        if made.told:
            with self._writing(), replacing(made.path) as temporary:
                temporary.write_bytes(made.data)
            self._count(made.path, made.told, new=True)
        elif made.failure:
            self.tally.failed.append(made.failure)
            self.report(self.tally)

    def finish(self, about: dict[str, Any]) -> dict[str, Any]:
        """The parts become the table, beside which the summary is written and returned."""
        parts = [path for path, done in self._done.items() if done]
        with self._writing():
            write_table(
                map(_read_part, parts), self.out / FILE, self.settings.mel, bool(self.settings.emotion)
            )
            for leftover in self.out.rglob(".*.parquet.*.tmp"):  # of runs that were killed while they wrote
                leftover.unlink()
            summary = about | _versions(self.settings) | self.tally.summary() | _contents(self.out / FILE)
            with replacing(self.out / "prepare.json") as temporary:
                temporary.write_text(json.dumps(summary, indent=1, ensure_ascii=False), encoding="utf-8")
        return summary

    def _count(self, path: Path, told: Told, new: bool) -> None:
        self._done[path] = True
        self.tally.add(told, new)
        self.report(self.tally)

    @contextmanager
    def _writing(self) -> Generator[None]:
        try:
            yield
        except OSError as error:
            raise PrepareError(
                f"{self.out} can't be written: {error}. The {self.tally.n_conversations} conversations that are done are kept "
                "there; make room or choose another folder, and give the same command again."
            ) from error


def _read_part(path: Path) -> Any:
    try:
        return pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise PrepareError(
            f"{path} is damaged ({error}). Delete it and give the same command again."
        ) from error


def _versions(settings: Settings) -> dict[str, Any]:
    emotion = {"emotion": model_of_emotion(settings.emotion).name} if settings.emotion else {}
    return {
        "entrain": entrain.__version__,
        "schema": SCHEMA,
        "table_version": TABLE_VERSION,
        "profile": settings.profile,
        "mel": settings.mel,
    } | emotion


def _contents(path: Path) -> dict[str, Any]:
    """What a finished table holds: turns a corpus, values a feature, and why the others are missing."""
    optional = ("emotion",) if "emotion" in pq.read_schema(path).names else ()
    names = (*FEATURES, *optional)
    table = pq.read_table(path, columns=["corpus", "speaker", "missing", *names])
    why: dict[str, Counter[str]] = {name: Counter() for name in names}
    for told in table["missing"].value_counts().to_pylist():
        for name, reason in json.loads(told["values"]).items():
            why[name][reason] += told["counts"]
    speakers = table.group_by(["corpus", "speaker"]).aggregate([])
    return {
        "n_speakers": speakers.num_rows,
        "corpora": {c["values"]: c["counts"] for c in table["corpus"].value_counts().to_pylist()},
        "values": {name: table.num_rows - table[name].null_count for name in names},
        "missing": {name: dict(reasons.most_common()) for name, reasons in why.items()},
    }

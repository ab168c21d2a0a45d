"""Trained runs → how well they predict conversations they have not seen, beside what is trivial, each other and sham partners."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from entrain.model import ModelConfig
from entrain.turn import FEATURES, SCHEMA, Finite, Record
from entrain.weights import WeightsError
from entrain.words import Words
from entrain_training.baselines import MIN_VALUES, fitted
from entrain_training.calibration import Calibration, calibration
from entrain_training.finished import EvaluationError, Run
from entrain_training.ground import Ground
from entrain_training.looks import Course, Look, courses, looks
from entrain_training.pooled import Bits, Pooled
from entrain_training.predict import predict, sides_of
from entrain_training.scores import CHOICES, FED, Paired, Score, Sheet, compare, scores, tabulate
from entrain_training.sham import N_SHUFFLES, Sham, sham

Part = Literal["train", "dev", "test"]


class RunResult(Record):
    """All that is known of one run."""

    name: str
    folder: str
    config: ModelConfig
    settings: dict[str, Any]
    learnt: dict[str, str]
    n_parameters: int
    n_conversations: int
    n_turns: int
    n_speakers: int
    n_shared_speakers: int
    """Of them, how many it heard in training: 0 where the split is honest."""
    unknown_words: Finite
    scores: tuple[Score, ...]
    sham: tuple[Sham, ...]
    calibration: tuple[Calibration, ...]
    attention: dict[str, Any] | None
    courses: tuple[Course, ...]
    looks: tuple[Look, ...]

    def find(
        self, *, turns: str = "all turns", fed: str = "recorded", corpus: str = "", feature: str = ""
    ) -> Score | None:
        """By default over all corpora and features, which stand first. None where there are too few."""
        for row in self.scores:
            if (
                (row.turns, row.fed) == (turns, fed)
                and corpus in ("", row.corpus)
                and feature in ("", row.feature)
            ):
                return row
        return None


class Results(Record):
    """Everything that the page shows, and more."""

    features_schema: str = SCHEMA
    part: Part
    tables: tuple[str, ...]
    runs: tuple[RunResult, ...]
    paired: tuple[Paired, ...]
    left_out: tuple[str, ...]
    """What was not evaluated, and why."""


def evaluate(
    folders: Sequence[str | Path], tables: Sequence[str | Path], part: Part = "test", *,
    vectors: str | Path | None = None, n_shuffles: int = N_SHUFFLES, say: Callable[[str], None] = lambda line: None,
) -> Results:  # fmt: skip
    """Evaluate runs on their split's `part` of prepared tables. `n_shuffles` 0: no sham partners.

    What can't be evaluated is listed; raises `EvaluationError` where no run can. `say` is told what is being done.
    """
    ground = Ground(tables, Words.load(vectors))
    results: list[RunResult] = []
    sheets: list[list[Sheet]] = []
    left_out: dict[str, list[str]] = {}  # why → the runs that it holds for
    for folder in folders:
        say(f"{folder}")
        try:
            result, found, missed = _evaluate(Run.read(folder), ground, part, n_shuffles)
        except (EvaluationError, WeightsError) as error:
            if len(folders) == 1:
                raise
            left_out[str(error)] = [str(folder)]
            continue
        results.append(result)
        sheets.append(found)
        for line in dict.fromkeys(missed):
            left_out.setdefault(line, []).append(result.name)
    if not results:
        raise EvaluationError("none of the runs can be evaluated: " + "; ".join(left_out))
    names = _names(results)
    results = [r.model_copy(update={"name": name}) for r, name in zip(results, names, strict=True)]
    pairs, unpaired = _pairs(names, sheets)
    told = [
        f"{'all runs' if len(of) == len(folders) > 1 else ', '.join(of)}: {why}"
        for why, of in left_out.items()
    ]
    return Results(
        part=part, tables=tuple(map(str, tables)), runs=tuple(results), paired=tuple(pairs), left_out=(*told, *unpaired)
    )  # fmt: skip


def _evaluate(
    run: Run, ground: Ground, part: Part, n_shuffles: int
) -> tuple[RunResult, list[Sheet], list[str]]:
    config, words = run.trained.model.config, ground.words
    run.trained.check_words(words)
    train, dev, turns = (ground.part(run, name) for name in ("train", "dev", part))
    features, left_out = _features(run, train, turns)
    if lacking := len(run.split[part]) - len(turns.dialogues):
        left_out.append(f"{lacking} conversations of the {part} part, which are not in the tables given")
    sides = sides_of(turns)
    said = {fed: predict(run.trained, turns, sides, words, free=fed == "free") for fed in FED}
    recorded, guesses = said["recorded"], ground.trivial(train, dev, turns)
    sheets = [
        tabulate(turns, predictions, guesses, config.likelihood, features, fed, choice)
        for fed, predictions in said.items()
        for choice in CHOICES
    ]
    rows, few = zip(*(scores(sheet, config.likelihood) for sheet in sheets), strict=True)
    left_out += itertools.chain(*few)
    if config.likelihood == "smooth_l1":
        left_out.append("likelihood and calibration: trained on smooth L1, it predicts no scale")
    shams: list[Sham] = []
    if n_shuffles:
        shams, alone = sham(run.trained, turns, words, features, n_shuffles)
        left_out += alone
    else:
        left_out.append("sham partners: none were asked for")
    people, heard = _people(turns), _people(train)
    return RunResult(
        name=run.folder.name, folder=str(run.folder), config=config, settings=run.settings, learnt=dict(run.trained.learnt),
        n_parameters=sum(p.numel() for p in run.trained.model.parameters()), n_conversations=len(turns.dialogues),
        n_turns=len(turns), n_speakers=len(people), n_shared_speakers=len(people & heard) if part != "train" else 0,
        unknown_words=_unknown(turns), scores=tuple(itertools.chain(*rows)), sham=tuple(shams),
        calibration=tuple(calibration(turns, recorded, config.likelihood, features)),
        attention=recorded.lags.summary(), courses=tuple(courses(turns, recorded, config.likelihood, features)),
        looks=tuple(looks(run.trained, turns, words, features)),
    ), sheets, left_out  # fmt: skip


def _features(run: Run, train: Pooled, turns: Pooled) -> tuple[Bits, list[str]]:
    """Which features can be scored (7,), and why the others can't."""
    count, enough = turns.valid.sum(0), fitted(train)
    learnt = np.array([run.trained.learnt[name] != "no" for name in FEATURES])
    why: list[str] = []
    for i, name in enumerate(FEATURES):
        if not count[i]:
            why.append(f"{name}: the tables have no values of it")
        elif not learnt[i]:
            why.append(f"{name}: the model has not learnt it")
        elif not enough[i]:
            why.append(
                f"{name}: fewer than {MIN_VALUES} values in training, so no trivial predictor can be fitted"
            )
    features = (count > 0) & learnt & enough
    if count[features].sum() < MIN_VALUES:
        raise EvaluationError(
            f"{run.folder}: there are fewer than {MIN_VALUES} values to score ({'; '.join(why) or 'all features together'}). "
            "Give more conversations."
        )
    return features, why


def _people(turns: Pooled) -> set[tuple[str, str]]:
    return {(d.corpus, name) for d in turns.dialogues for name in d.names}


def _unknown(turns: Pooled) -> float:
    rows = np.concatenate([d.rows for d in turns.dialogues])
    return float((rows == 0).mean()) if len(rows) else 0.0


def _names(results: Sequence[RunResult]) -> list[str]:
    """The folders' names, or with what is above them where two are the same."""
    short = [r.name for r in results]
    return [r.name if short.count(r.name) == 1 else r.folder for r in results]


def _pairs(names: Sequence[str], sheets: Sequence[list[Sheet]]) -> tuple[list[Paired], list[str]]:
    """Every two runs, and those that can't be compared."""
    rows: list[Paired] = []
    unpaired: list[str] = []
    for (name, mine), (other, theirs) in itertools.combinations(zip(names, sheets, strict=True), 2):
        found = [compare(name, a, other, b) for a, b in zip(mine, theirs, strict=True)]
        rows += [row for row in found if row]
        if None in found:
            unpaired.append(
                f"{name} against {other}: they don't predict the same values of the same conversations"
            )
    return rows, unpaired

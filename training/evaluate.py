"""Trained runs → how well they predict conversations they have not seen, beside what is trivial, each other and sham partners."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from entrain.turn import FEATURES
from entrain.weights import WeightsError
from entrain.words import Words
from entrain_training.baselines import MIN_VALUES, fitted
from entrain_training.calibration import calibration
from entrain_training.engines import processes
from entrain_training.findings import Part, Results, RunResult
from entrain_training.finished import EvaluationError, Run
from entrain_training.ground import Ground
from entrain_training.looks import courses, looks
from entrain_training.pooled import Bits, Pooled
from entrain_training.predict import predict, sides_of
from entrain_training.scores import CHOICES, FED, Paired, Sheet, compare, scores, tabulate
from entrain_training.sham import N_SHUFFLES, Sham, sham

Found = tuple[RunResult, list[Sheet], list[str]]


def evaluate(
    folders: Sequence[str | Path], tables: Sequence[str | Path], part: Part = "test", *,
    vectors: str | Path | None = None, n_shuffles: int = N_SHUFFLES, jobs: int = 1,
    say: Callable[[str], None] = lambda line: None,
) -> Results:  # fmt: skip
    """Evaluate runs on their split's `part` of prepared tables. `n_shuffles` 0: no sham partners. `jobs`: runs at once.

    What can't be evaluated is listed; raises `EvaluationError` where no run can. `say` is told what is being done.
    """
    found: list[tuple[str, Found]] = []
    left_out: dict[str, list[str]] = {}  # why → the runs that it holds for
    one = partial(_try, tables=tuple(map(str, tables)), part=part, vectors=vectors, n_shuffles=n_shuffles)
    for folder, outcome in zip(folders, _each(one, folders, jobs, say), strict=True):
        if isinstance(outcome, ValueError):
            if len(folders) == 1:
                raise outcome
            left_out[str(outcome)] = [str(folder)]
        else:
            found.append((str(folder), outcome))
    if not found:
        raise EvaluationError("none of the runs can be evaluated: " + "; ".join(left_out))
    names = _names([Path(folder) for folder, _ in found])
    for name, (_, (_, _, missed)) in zip(names, found, strict=True):
        for line in dict.fromkeys(missed):
            left_out.setdefault(line, []).append(name)
    pairs, unpaired = _pairs(names, [sheets for _, (_, sheets, _) in found])
    told = [
        f"{'all runs' if len(of) == len(folders) > 1 else ', '.join(of)}: {why}"
        for why, of in left_out.items()
    ]
    return Results(
        part=part, tables=tuple(map(str, tables)), paired=tuple(pairs), left_out=(*told, *unpaired),
        runs=tuple(r.model_copy(update={"name": name}) for name, (_, (r, _, _)) in zip(names, found, strict=True)),
    )  # fmt: skip


def _each(
    one: Callable[[str | Path], Found | ValueError], folders: Sequence[str | Path], jobs: int, say: Callable[[str], None]
) -> Iterator[Found | ValueError]:  # fmt: skip
    if jobs == 1:
        try:
            for folder in folders:
                say(f"evaluating {folder}")
                yield one(folder)
        finally:
            _ground.cache_clear()  # the tables may be others the next time
        return
    with processes(jobs) as executor:
        for folder, outcome in zip(folders, executor.map(one, folders), strict=True):
            say(f"evaluated {folder}")
            yield outcome


def _try(
    folder: str | Path, tables: tuple[str, ...], part: Part, vectors: str | Path | None, n_shuffles: int
) -> Found | ValueError:
    try:
        return _evaluate(Run.read(folder), _ground(tables, vectors), part, n_shuffles)
    except (EvaluationError, WeightsError) as error:
        return error


@lru_cache(maxsize=1)
def _ground(tables: tuple[str, ...], vectors: str | Path | None) -> Ground:
    return Ground(tables, Words.load(vectors))


def _evaluate(run: Run, ground: Ground, part: Part, n_shuffles: int) -> Found:
    config, words = run.trained.model.config, ground.words
    run.trained.check_words(words)
    train, turns = ground.part(run, "train"), ground.part(run, part)
    features, left_out = _features(run, train, turns)
    if lacking := len(run.split[part]) - len(turns.dialogues):
        left_out.append(f"{lacking} conversations of the {part} part, which are not in the tables given")
    sides = sides_of(turns)
    said = {fed: predict(run.trained, turns, sides, words, free=fed == "free") for fed in FED}
    recorded, guesses = said["recorded"], ground.trivial(train, ground.find(run, "dev") or train, turns)
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
    there, enough = turns.valid.any(0), fitted(train)
    learnt = np.array([run.trained.learnt[name] != "no" for name in FEATURES])
    reasons = {
        "the tables have no values of it": ~there,
        "the model has not learnt it": there & ~learnt,
        f"under {MIN_VALUES} values in training, too few to fit a trivial predictor": there & learnt & ~enough,
    }  # fmt: skip
    why = [
        f"{', '.join(name for name, out in zip(FEATURES, which, strict=True) if out)}: {reason}"
        for reason, which in reasons.items()
        if which.any()
    ]
    features = there & learnt & enough
    if turns.valid[:, features].sum() < MIN_VALUES:
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


def _names(folders: Sequence[Path]) -> list[str]:
    """The folders' names, or with what is above them where two are the same."""
    short = [folder.name for folder in folders]
    return [folder.name if short.count(folder.name) == 1 else str(folder) for folder in folders]


def _pairs(names: Sequence[str], sheets: Sequence[list[Sheet]]) -> tuple[list[Paired], list[str]]:
    """Every two runs, and those that can't be compared."""
    rows: list[Paired] = []
    unlike: dict[str, list[str]] = {}
    for (name, mine), (other, theirs) in itertools.combinations(zip(names, sheets, strict=True), 2):
        found = [compare(name, a, other, b) for a, b in zip(mine, theirs, strict=True)]
        rows += [row for row in found if row]
        if None in found:
            unlike.setdefault(other, []).append(name)
    why = "they don't predict the same values of the same conversations"
    return rows, [f"{name} against {', '.join(others)}: {why}" for name, others in unlike.items()]

"""What the model was to reach, and whether it did."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from entrain.report import number
from entrain_training.findings import Results, RunResult
from entrain_training.page import first_shams, interval
from entrain_training.scores import CHOICES, FED, Paired

DEFAULT, BASE = "words-lookahead", "base"
MIN_SKILL, MIN_LESS_PERCENT, MAX_P, NEAR = 10.0, 4.0, 0.01, 1.05


class Optimum(NamedTuple):
    """The best that is possible on a simulation's test conversations: fed → predictor → loss → value."""

    coupling: str
    results: Results
    losses: dict[str, dict[str, dict[str, float]]]


class Aim(NamedTuple):
    """Something that was to be reached."""

    what: str
    found: str
    reached: bool


def find_aims(honest: Results, optima: Sequence[Optimum]) -> list[Aim]:
    """What was to be reached, as it is."""
    ours, under_base = find_run(honest, DEFAULT), pair(honest, BASE)
    aims: list[Aim] = []
    if ours and (row := ours.find()):
        enough = row.skill.is_above_0 and 100 * row.skill.value >= MIN_SKILL
        what = f"rate, unseen speakers of AMI and PriMock57: skill of {MIN_SKILL:.0f} % over the best trivial predictor, interval above 0"
        aims.append(Aim(what, f"{interval(row.skill, 100)} % over {row.best}", enough))
    if under_base:
        less = under_base.less_percent
        what = f"the reply’s words: loss {MIN_LESS_PERCENT:.0f} % below that of {BASE}"
        aims.append(Aim(what, f"{interval(less)} %", less.value >= MIN_LESS_PERCENT))
    for row in first_shams(ours) if ours else []:
        aims.append(Aim(
            f"true partner below a sham one ({row.kind}), p < {MAX_P}",
            f"sham higher by {interval(row.more_percent)} %, p {number(row.p, 4)}", row.p < MAX_P and row.sham > row.true,
        ))  # fmt: skip
    for o in optima:
        for fed in FED:
            found, best = near(o, fed)
            if found is not None:
                told = f"{number(found, 4)}, the best possible {number(best, 4)}: {number(100 * (found / best - 1), 1, True)} %"
                aims.append(
                    Aim(
                        f"simulator, coupling {o.coupling}, fed {fed}: within 5 % of the best possible loss",
                        told,
                        found <= NEAR * best,
                    )
                )
    return aims


def near(o: Optimum, fed: str) -> tuple[float | None, float]:
    """Our loss and the best possible one."""
    ours = find_run(o.results, DEFAULT)
    score = ours.find(fed=fed) if ours else None
    return score.smooth_l1.value if score else None, o.losses[fed]["optimal"]["smooth L1"]


def find_run(results: Results, name: str) -> RunResult | None:
    return next((each for each in results.runs if each.name == name), None)


def pair(results: Results, other: str) -> Paired | None:
    """The default against another run: all turns, recorded."""
    fits = (p for p in results.paired if (p.run, p.other, p.fed) == (DEFAULT, other, "recorded"))
    return next((p for p in fits if p.turns == next(iter(CHOICES))), None)

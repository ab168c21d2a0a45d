"""The front of the results: what was aimed at, what was published, and what came out, each with a link to its page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from entrain.report import number
from entrain_training.aims import DEFAULT, Aim, Optimum, find_aims, find_run, near, pair
from entrain_training.findings import Results
from entrain_training.page import environment, first_shams, interval, sham_row, table
from entrain_training.presets import PRESETS
from entrain_training.scores import CHOICES, FED

PUBLISHED = {"Mel": (None, 0.3859), "none": ("base", 0.3815), "words": ("words", 0.3663)}
"""Row of the published table → our run of the same inputs, and its smooth L1."""
ABLATIONS = {
    "words": "without the reply’s own words",
    "base": "without any words",
    "dual": "one attention over own turns, another over the partner’s",
    "partner": "attention over the partner’s turns only",
    "none": "without attention",
    "teacher-1-to-0": "trained ever more on what it said itself",
    "teacher-0": "trained only on what it said itself",
    "whole-conversation-z": "z-scores that know the whole conversation",
}
NOT_HERE = (
    "The Mel row: no free corpus has both conversations at this scale and their audio here, so there are no spectrograms to train on.",
    "Pitch, level and voice quality of people: the free turn tables hold none. The simulator stands in for them.",
    "An ablation of the validity bits: the network has no switch for them, and in these tables rate is all but never missing.",
)
Row = tuple[str, ...]


class Section(NamedTuple):
    """A table on the page; `page` is the folder with all there is about it."""

    title: str
    note: str
    head: Row
    rows: list[Row]
    page: str = ""


def write_index(
    out: Path, honest: Results, published: Results, everywhere: Results, optima: Sequence[Optimum],
    titles: Mapping[str, str],
) -> Path:  # fmt: skip
    """Writes index.html, index.md and index.json; returns the first."""
    aims = find_aims(honest, optima)
    sections = [
        published_rows(published),
        variants(honest),
        ablations(honest),
        partners(honest, everywhere),
        simulations(optima),
    ]
    left_out = [*NOT_HERE, *dict.fromkeys(line for r in (honest, published) for line in r.left_out)]
    page = environment().get_template("index.html").render(
        aims=aims, sections=sections, left_out=left_out, titles=titles
    )  # fmt: skip
    (out / "index.html").write_text(page, encoding="utf-8", newline="\n")
    (out / "index.md").write_text(markdown(aims, sections, left_out), encoding="utf-8", newline="\n")
    record: dict[str, Any] = {
        "aims": [aim._asdict() for aim in aims], "sections": [section._asdict() for section in sections],
        "optima": {o.coupling: o.losses for o in optima}, "left_out": left_out,
    }  # fmt: skip
    (out / "index.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return out / "index.html"


def markdown(aims: Sequence[Aim], sections: Sequence[Section], left_out: Sequence[str]) -> str:
    parts = [
        "# Results",
        table(("aim", "reached", "found"), [(a.what, "yes" if a.reached else "no", a.found) for a in aims]),
    ]
    for section in sections:
        parts += [f"## {section.title}", section.note, table(section.head, section.rows)]
    return "\n\n".join([*parts, "## Not here", "\n".join(f"- {line}" for line in left_out)]) + "\n"


# --- The tables -----------------------------------------------------------------------------------------------------


def published_rows(results: Results) -> Section:
    """The published table's rows beside ours under its own conditions."""
    inputs = {row: find_run(results, name) if name else None for row, (name, _) in PUBLISHED.items()}
    told = {f"not in the table: {r.name}": r for r in results.runs if r not in inputs.values()}
    rows: list[Row] = []
    for row, ours in (inputs | told).items():
        score = ours.find() if ours else None
        published = f"{PUBLISHED[row][1]:.4f}" if row in PUBLISHED else "–"
        if score is None:
            rows.append((row, published, "not reproducible here", "–", "–", "–", "–"))
        else:
            rows.append((
                row, published, interval(score.smooth_l1, 1, 4), number(score.trivial["constant"].smooth_l1, 4),
                number(score.trivial[score.best].smooth_l1, 4), score.best, interval(score.skill, 100),
            ))  # fmt: skip
    shared = max((r.n_shared_speakers for r in results.runs), default=0)
    note = (
        "z-scores that know the whole conversation, smooth L1 loss, us/us/us/us/us, and conversations parted at random, so that "
        f"{shared} of the test speakers were heard in training. The published figures are of another corpus and of seven features; "
        "ours are of rate alone. Beside them what a constant reaches, which such z-scores make easy."
    )
    head = ("inputs", "published", "ours", "a constant, there", "best trivial", "which", "skill over it, %")
    return Section("The published table", note, head, rows, "published")


def variants(results: Results) -> Section:
    """Every run under honest conditions."""
    rows: list[Row] = []
    for each in results.runs:
        long = list(CHOICES)[-1]
        found = [each.find(), each.find(turns=long), each.find(fed="free")]
        if found[0]:
            skills = [interval(score.skill if score else None, 100) for score in found]
            what = PRESETS.get(each.name, ABLATIONS.get(each.name, ""))
            rows.append((each.name, what, interval(found[0].smooth_l1, 1, 4), found[0].best, *skills))
    note = (
        "Causal z-scores, and nobody in the test was heard in training. Rate in AMI and PriMock57, English words. Skill is over the trivial "
        "predictor that is best on these very turns; running free, over the best that never hears our turns."
    )
    head = (
        "run",
        "reads",
        "smooth L1",
        "best trivial",
        "skill, %",
        f"skill, {long}, %",
        "skill running free, %",
    )
    return Section("Under honest conditions", note, head, rows, "honest")


def ablations(results: Results) -> Section:
    """What each part is worth: the default's loss against that of runs without it."""
    rows: list[Row] = []
    for name, what in ABLATIONS.items():
        found, other = pair(results, name), find_run(results, name)
        score = other.find() if other else None
        if found:
            rows.append((name, what, interval(found.less_percent), number(found.p, 4)))
        elif score:
            rows.append((name, what, f"other targets; its own skill is {interval(score.skill, 100)} %", "–"))
    note = f"How much lower the loss of {DEFAULT} is on the same turns; below 0, the other is better. p two-sided, over conversations."
    return Section(
        "Ablations", note, ("run", "what is other", "loss of the default lower by, %", "p"), rows, "honest"
    )


def partners(honest: Results, everywhere: Results) -> Section:
    """True and sham partners, of every run; and of the default in each corpus."""
    rows = [sham_row(each, row) for each in honest.runs for row in first_shams(each)]
    rows += [
        (f"{each.name}, {row.corpus}", row.kind, interval(row.more_percent), number(row.p, 4))
        for each in everywhere.runs
        for row in each.sham
        if row.corpus != "all"
    ]
    note = (
        "How much higher the loss is beside a partner from another conversation of the same corpus. It is the most that entrainment can be "
        "worth to the model: people in one room share more than that, such as the room and who transcribed it."
    )
    return Section("Sham partners", note, ("run", "partner", "loss higher by, %", "p"), rows, "everywhere")


def simulations(optima: Sequence[Optimum]) -> Section:
    """Ours beside the best that is possible, by coupling."""
    rows: list[Row] = []
    for o in optima:
        for fed in FED:
            found, best = near(o, fed)
            ours = find_run(o.results, DEFAULT)
            score = ours.find(fed=fed) if ours else None
            if found is not None and score and ours:
                deaf = o.losses[fed]["optimal, deaf to the partner"]["smooth L1"]
                sham = first_shams(ours)[0] if ours.sham else None
                told = (
                    f"{interval(sham.more_percent)}, p {number(sham.p, 4)}"
                    if sham and fed == "recorded"
                    else "–"
                )
                rows.append((
                    o.coupling, fed, number(found, 4), number(best, 4), number(100 * (found / best - 1), 1, True), number(deaf, 4),
                    f"{number(score.trivial[score.best].smooth_l1, 4)} {score.best}", told,
                ))  # fmt: skip
    note = (
        "Conversations whose coupling is known, all seven features, and the words ask for something too. Smooth L1; the best possible is a Kalman "
        "filter's, and so is the best that never hears the partner. Sham: how much higher the loss, with another's prosody."
    )
    head = (
        "coupling",
        "fed",
        "ours",
        "best possible",
        "above it, %",
        "best, deaf to the partner",
        "best trivial",
        "sham, %",
    )
    return Section("Where the truth is known", note, head, rows, "simulated-strong")

"""Conversations whose entrainment is known: the test that a network learns it where it is, and none where it isn't.

    python -m entrain_training.simulate OUT.parquet --coupling strong        writes a turn table, prints the best losses possible

How speakers are tied is in `coupling.py`; the best prediction possible in `optimal.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from entrain.normalize import Normalizer
from entrain.syllables import count_syllables
from entrain.turn import FEATURES
from entrain_training.columns import NULLABLE, schema
from entrain_training.coupling import (
    COUPLINGS,
    MAX_WORDS,
    WORDS,
    Array,
    Bits,
    Coupling,
    Simulated,
    manner,
    others,
    text_effect,
)
from entrain_training.optimal import score
from entrain_training.table import conversations, write_table

pa: Any = import_module("pyarrow")

SAME_AGAIN = 0.1  # share of turns whose speaker has just spoken
MIN_GAP_S, MIN_TURN_S = 0.5, 0.5  # with less between them, two turns of one speaker would be one
UNMEASURED = "simulated as missing"


def simulate(
    n_conversations: int, n_turns: int | tuple[int, int], coupling: Coupling, seed: int
) -> list[Simulated]:
    """Two-party conversations of `n_turns` turns, or of between the two numbers given. Raises `ValueError` where there are none."""
    low, high = (n_turns, n_turns) if isinstance(n_turns, int) else n_turns
    if n_conversations < 1 or not 1 <= low <= high:
        raise ValueError(
            f"{n_conversations} conversations of {low} to {high} turns; give at least one of each, the smaller number first."
        )
    return [
        _converse(f"{seed}-{number:04d}", np.random.default_rng([seed, number]), low, high, coupling)
        for number in range(n_conversations)
    ]


def fill(
    speakers: Sequence[str], texts: Sequence[str], coupling: Coupling, seed: int | np.random.Generator
) -> tuple[Array, Bits]:
    """Simulated z and validity, both (T, 7), for the turns of a conversation of one speaker or more; each answers whoever else
    spoke last. Words that the simulator does not know ask for nothing."""
    if len(speakers) != len(texts):
        raise ValueError(f"{len(speakers)} speakers but {len(texts)} texts; give one of each for every turn.")
    rng = np.random.default_rng(seed)
    names = list(dict.fromkeys(speakers))
    speaker = np.array([names.index(name) for name in speakers], np.int64)
    habit: Array = np.sqrt(coupling.offset) * rng.standard_normal((len(names), len(FEATURES)))
    start = habit + np.sqrt(coupling.drift) * rng.standard_normal(habit.shape)
    noise = np.sqrt(coupling.noise) * rng.standard_normal((len(speaker), len(FEATURES)))
    valid = rng.random(noise.shape) >= coupling.missing
    return manner(speaker, habit, start, noise, coupling) + text_effect(texts, coupling), valid


def to_table(conversations: Iterable[Simulated], corpus: str = "simulated") -> Any:
    """The turns as a `pyarrow.Table` of `columns.py`. In the features' own units every speaker is as people in general are (so a
    z-score of rate under −3.3 is a negative rate). No two conversations share a speaker."""
    return pa.concat_tables([_rows(c, corpus) for c in conversations])


def fill_table(table: Any, features: Sequence[str], coupling: Coupling, seed: int) -> Any:
    """A table of real turns with simulated values of these features, which it lacks. Raises `ValueError` for an unknown feature, and
    for one that any turn has: what was measured is not overwritten."""
    for name in features:
        if name not in FEATURES:
            raise ValueError(f"there is no feature {name!r}. Select from {', '.join(FEATURES)}.")
        if n_known := len(table) - table[name].null_count:
            raise ValueError(
                f"{name} was measured in {n_known} turns; simulate only features that a table lacks."
            )
    speaker, text = (table[name].to_pylist() for name in ("speaker", "text"))
    filled = [
        fill(speaker[a:b], text[a:b], coupling, np.random.default_rng([seed, a]))
        for a, b in conversations(table)
    ]
    z, valid = (np.concatenate(part) for part in zip(*filled, strict=True))
    reasons = [json.loads(cell) for cell in table["missing"].to_pylist()]
    columns = _values(z, valid, features) | {"missing": _missing(valid, features, reasons)}
    for name, values in columns.items():
        table = table.set_column(table.column_names.index(name), table.schema.field(name), values)
    return table


def _converse(name: str, rng: np.random.Generator, low: int, high: int, coupling: Coupling) -> Simulated:
    n_turns = int(rng.integers(low, high, endpoint=True))
    changes = rng.random(n_turns) >= SAME_AGAIN
    n_words = rng.integers(1, MAX_WORDS, n_turns, endpoint=True)
    texts = tuple(" ".join(rng.choice(WORDS, n)) for n in n_words)
    speaker = np.cumsum(changes, dtype=np.int64) % 2
    z, valid = fill([str(s) for s in speaker], texts, coupling, rng)
    return Simulated(name, speaker, z, valid, texts, *_times(changes, texts, rng))


def _times(changes: Bits, texts: Sequence[str], rng: np.random.Generator) -> tuple[Array, Array]:
    """Starts and ends (T,), s, without overlaps. All at one rate: durations that followed the simulated rate would tell it where it
    is missing."""
    rate_syll_s = Normalizer.for_person().prior_mean[FEATURES.index("rate_syll_s")]
    duration_s = np.maximum(MIN_TURN_S, np.array([count_syllables(text) for text in texts]) / rate_syll_s)
    gap_s = rng.exponential(0.3, len(texts)) + np.where(changes, 0.0, MIN_GAP_S)
    start_s = np.cumsum(gap_s + duration_s) - duration_s
    return start_s, start_s + duration_s


def _rows(c: Simulated, corpus: str) -> Any:
    T, duration_s = len(c.speaker), c.end_s - c.start_s
    before = [c.end_s[:t][c.speaker[:t] == o] for t, o in enumerate(others(c.speaker))]
    columns = {name: pa.nulls(T, pa.float64()) for name in NULLABLE} | {
        "corpus": [corpus] * T,
        "conv": [c.id] * T,
        "group": [""] * T,
        "speaker": [f"{c.id}-{'AB'[s]}" for s in c.speaker],
        "turn": range(T),
        "start_s": c.start_s,
        "end_s": c.end_s,
        "text": c.text,
        "overlap": [False] * T,
        "n_words": [len(text.split()) for text in c.text],
        "n_syllables": [count_syllables(text) for text in c.text],
        "duration_s": duration_s,
        "rate_source": ["words"] * T,
        "missing": _missing(c.valid, FEATURES, [dict[str, str]()] * T),
        "latency_s": [
            start - ends[-1] if len(ends) else None for start, ends in zip(c.start_s, before, strict=True)
        ],
        "speech_s": duration_s,
        "pause_ratio": [0.0] * T,
        **_values(c.z, c.valid, FEATURES),
    }
    return pa.table(columns, schema())


def _values(z: Array, valid: Bits, features: Iterable[str]) -> dict[str, Any]:
    """The columns of these features. z-scores before and after the turn are the same: no speaker's mean is estimated."""
    scales = {"": Normalizer.for_person().invert(z), "z_": z, "target_": z}
    places = [(name, FEATURES.index(name)) for name in features]
    return {
        prefix + name: pa.array(values[:, i], mask=~valid[:, i])
        for prefix, values in scales.items()
        for name, i in places
    }


def _missing(valid: Bits, features: Sequence[str], reasons: Sequence[dict[str, str]]) -> Any:
    """The column `missing`: the reasons there are, but those of simulated features anew."""
    places = [(name, FEATURES.index(name)) for name in features]
    kept = ({name: why for name, why in told.items() if name not in features} for told in reasons)
    new = ({name: UNMEASURED for name, i in places if not row[i]} for row in valid)
    return pa.array([json.dumps(old | now) for old, now in zip(kept, new, strict=True)])


def main(
    out: Annotated[Path, typer.Argument(help="Turn table to write (.parquet).")],
    coupling: Annotated[str, typer.Option(help=f"One of {', '.join(COUPLINGS)}.")] = "strong",
    text: Annotated[bool, typer.Option(help="Do words ask for anything?")] = True,
    conversations: Annotated[int, typer.Option(min=1, help="How many.")] = 500,
    turns: Annotated[tuple[int, int], typer.Option(help="Fewest and most turns of one.")] = (20, 80),
    seed: Annotated[int, typer.Option(min=0)] = 1,
) -> None:
    """Simulate conversations with known coupling, and print the best losses possible beside trivial ones."""
    if coupling not in COUPLINGS:
        raise typer.BadParameter(f"there is no coupling {coupling!r}; select one of {', '.join(COUPLINGS)}")
    tie = COUPLINGS[coupling] if text else COUPLINGS[coupling].model_copy(update={"text": 0.0})
    try:
        simulated = simulate(conversations, turns, tie, seed)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    out.parent.mkdir(parents=True, exist_ok=True)
    n_turns = write_table([to_table(simulated, f"simulated-{coupling}")], out)
    console = Console(width=110)
    for hear_own in (True, False):
        console.print(_sheet(score(simulated, tie, hear_own=hear_own), hear_own))
    console.print(f"{conversations} conversations, {n_turns} turns: {out}. Next: entrain train {out}")


def _sheet(scores: dict[str, dict[str, float]], hear_own: bool) -> Table:
    sheet = Table("predictor", title="our own turns as recorded" if hear_own else "our own turns never heard")
    for kind in next(iter(scores.values())):
        sheet.add_column(kind, justify="right")
    for name, loss in scores.items():
        sheet.add_row(name, *(f"{value:.4f}" for value in loss.values()))
    return sheet


if __name__ == "__main__":
    typer.run(main)

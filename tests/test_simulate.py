"""Simulated conversations are tied as strongly as they say, the same for the same seed, and make tables like any others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

pytest.importorskip("pyarrow", reason="pip install 'entrain[train]'")

import pyarrow as pa

from entrain.normalize import Normalizer
from entrain.turn import FEATURES
from entrain.words import Words
from entrain_training.coupling import COUPLINGS, WORDS, Coupling, Simulated, others
from entrain_training.optimal import score
from entrain_training.simulate import UNMEASURED, fill, fill_table, main, simulate, to_table
from entrain_training.table import read_table, write_table

app = typer.Typer()
app.command()(main)


def run(*args: str) -> Any:
    return CliRunner().invoke(app, list(args))


def partners_last(conversations: list[Simulated]) -> float:
    """Correlation of turns with the other's last turn, over all features."""
    pairs = [
        (c.z[t], c.z[:t][c.speaker[:t] == o][-1])
        for c in conversations
        for t, o in enumerate(others(c.speaker))
        if o >= 0
    ]
    return float(np.corrcoef(*(np.ravel(values) for values in zip(*pairs, strict=True)))[0, 1])


@pytest.mark.parametrize(("name", "r"), [("strong", 0.5), ("moderate", 0.2), ("none", 0.0)])
def test_presets_tie_speakers_as_strongly_as_they_say(name: str, r: float):
    conversations = simulate(200, (20, 80), COUPLINGS[name], seed=1)
    assert partners_last(conversations) == pytest.approx(r, abs=0.03)


@pytest.mark.parametrize(("name", "variance"), [("strong", 0.87), ("moderate", 0.96), ("none", 1.0)])
def test_z_scores_are_of_ordinary_size(name: str, variance: float):
    z = np.concatenate([c.z for c in simulate(200, (20, 80), COUPLINGS[name], seed=2)])
    assert z.mean() == pytest.approx(0, abs=0.03)
    assert z.var() == pytest.approx(variance, abs=0.03)


def test_what_is_missing_is_as_much_as_asked_and_has_nothing_to_do_with_the_value():
    conversations = simulate(100, 50, Coupling(missing=0.3), seed=3)
    z, valid = (np.concatenate([getattr(c, name) for c in conversations]) for name in ("z", "valid"))
    assert valid.mean() == pytest.approx(0.7, abs=0.01)
    assert z[valid].mean() == pytest.approx(z[~valid].mean(), abs=0.05)
    assert z[valid].std() == pytest.approx(z[~valid].std(), abs=0.05)


def test_turns_mostly_alternate_and_never_overlap():
    conversations = simulate(100, (20, 80), COUPLINGS["none"], seed=4)
    lengths = {len(c.speaker) for c in conversations}
    assert min(lengths) >= 20
    assert max(lengths) <= 80
    assert len(lengths) > 30
    assert np.mean(np.concatenate([np.diff(c.speaker) == 0 for c in conversations])) == pytest.approx(
        0.1, abs=0.02
    )
    for c in conversations:
        assert (c.end_s > c.start_s).all()
        assert (c.start_s[1:] >= c.end_s[:-1]).all()
        for who in (0, 1):
            mine = c.speaker == who
            assert (c.start_s[mine][1:] - c.end_s[mine][:-1] >= 0.5 - 1e-9).all()  # else they'd be one turn


def test_times_tell_nothing_of_the_values():
    c = simulate(1, 80, COUPLINGS["none"], seed=5)[0]
    again = simulate(1, 80, Coupling(persistence=0.7, text=0.3), seed=5)[0]
    assert not np.allclose(c.z, again.z)
    assert np.array_equal(c.end_s, again.end_s)


def test_one_seed_gives_the_same_conversations_and_another_gives_others():
    first, again, other = (simulate(3, (5, 9), COUPLINGS["strong"], seed) for seed in (6, 6, 7))
    assert [c.text for c in first] == [c.text for c in again]
    assert all(
        np.array_equal(a.z, b.z) and np.array_equal(a.valid, b.valid)
        for a, b in zip(first, again, strict=True)
    )
    assert [c.text for c in first] != [c.text for c in other]
    assert simulate(1, (5, 9), COUPLINGS["strong"], 6)[0].text == first[0].text  # however many there are
    assert {c.id for c in first}.isdisjoint(c.id for c in other)


@pytest.mark.parametrize(("n_conversations", "n_turns"), [(0, 5), (1, 0), (1, (9, 5))])
def test_no_conversations_and_no_turns_are_errors(n_conversations: int, n_turns: Any):
    with pytest.raises(ValueError, match="at least one"):
        simulate(n_conversations, n_turns, COUPLINGS["none"], 0)


def test_the_shipped_vectors_have_every_word():
    rows, _ = Words.load().find(" ".join(WORDS))
    assert len(rows) == len(WORDS)
    assert (rows > 0).all()


def test_any_turn_structure_can_be_filled():
    z, valid = fill(
        ["ann", "bob", "cy", "ann", "ann"], ["Good night.", "", "Ja!", "so", "well"], Coupling(), 1
    )
    assert z.shape == valid.shape == (5, 7)
    assert np.isfinite(z).all()
    assert fill(["ann"], ["hello"], Coupling(), 1)[0].shape == (1, 7)
    assert fill([], [], Coupling(), 1)[0].shape == (0, 7)
    with pytest.raises(ValueError, match="2 speakers but 1 texts"):
        fill(["ann", "bob"], ["hello"], Coupling(), 1)


def test_in_a_meeting_each_answers_whoever_else_spoke_last():
    speakers = ["ann", "bob", "cy", "cy"] * 2_000
    z, _ = fill(speakers, [""] * 8_000, Coupling(persistence=0, synchrony=0.6, text=0, offset=0), 2)
    who = {name: z[start + 40 :: 4].ravel() for start, name in enumerate(["ann", "bob", "cy", "cy again"])}
    for earlier, later in [("ann", "bob"), ("bob", "cy"), ("bob", "cy again")]:
        assert np.corrcoef(who[earlier], who[later])[0, 1] == pytest.approx(0.6, abs=0.03)


def test_a_table_has_what_was_simulated(tmp_path: Path):
    conversations = simulate(3, (5, 30), COUPLINGS["strong"], seed=8)
    write_table([to_table(conversations)], tmp_path / "turns.parquet")
    rows = read_table(tmp_path).to_pylist()  # refuses what is no table of turns
    z, valid = (np.concatenate([getattr(c, name) for c in conversations]) for name in ("z", "valid"))
    person = Normalizer.for_person()
    for row, values, known in zip(rows, z, valid, strict=True):
        raw = dict(zip(FEATURES, person.invert(values), strict=True))
        for name, value, ok in zip(FEATURES, values, known, strict=True):
            assert row[f"z_{name}"] == row[f"target_{name}"] == (value if ok else None)
            assert row[name] == (raw[name] if ok else None)
        assert json.loads(row["missing"]) == {
            n: UNMEASURED for n, ok in zip(FEATURES, known, strict=True) if not ok
        }
    assert len({row["speaker"] for row in rows}) == 6
    for i, row in enumerate(rows):
        ends = [r["end_s"] for r in rows[:i] if r["conv"] == row["conv"] and r["speaker"] != row["speaker"]]
        assert row["latency_s"] == (row["start_s"] - ends[-1] if ends else None)


def rate_only() -> Any:
    """A table of 120 turns that have a rate, or lack it for a reason, and nothing else."""
    table = to_table(simulate(3, 40, Coupling(missing=0.2), seed=9), "real")
    for name in FEATURES:
        for column in (name, f"z_{name}", f"target_{name}") if name != "rate_syll_s" else ():
            table = replaced(table, column, [None] * len(table))
    reasons = [dict.fromkeys(FEATURES, "no audio") | {"rate_syll_s": "too short"} for _ in range(len(table))]
    for told, rate in zip(reasons, table["rate_syll_s"].to_pylist(), strict=True):
        if rate is not None:
            del told["rate_syll_s"]
    return replaced(table, "missing", [json.dumps(told) for told in reasons])


def replaced(table: Any, column: str, values: list[Any]) -> Any:
    i = table.column_names.index(column)
    field = table.schema.field(i)
    return table.set_column(i, field, pa.array(values, field.type))


def test_a_real_table_is_filled_with_what_it_lacks(tmp_path: Path):
    table = rate_only()
    names = ("level_db", "f0_mean_st")
    filled = fill_table(table, names, Coupling(missing=0.4), seed=1)
    write_table([filled], tmp_path / "turns.parquet")
    back = read_table(tmp_path)
    touched = {p + name for p in ("", "z_", "target_") for name in names} | {"missing"}
    for column in set(table.column_names) - touched:
        assert back[column].equals(table[column]), column
    assert back["z_level_db"].null_count / 120 == pytest.approx(0.4, abs=0.15)
    before, after = (json.loads(t["missing"][0].as_py()) for t in (table, back))
    assert {n: why for n, why in after.items() if n not in names} == {
        n: why for n, why in before.items() if n not in names
    }
    assert fill_table(table, names, Coupling(missing=0.4), seed=1).equals(filled)
    z = back["z_level_db"].to_numpy()
    assert (np.isnan(z[:40]) != np.isnan(z[40:80])).any()  # conversations are drawn apart


def test_nothing_measured_is_overwritten_and_unknown_features_are_named():
    with pytest.raises(ValueError, match=r"rate_syll_s was measured in \d+ turns"):
        fill_table(rate_only(), ["rate_syll_s"], Coupling(), 0)
    with pytest.raises(ValueError, match=r"no feature 'pitch'\. Select from f0_mean_st"):
        fill_table(rate_only(), ["pitch"], Coupling(), 0)


def test_the_command_writes_the_table_and_prints_the_best_losses(tmp_path: Path):
    out = tmp_path / "new" / "turns.parquet"
    ran = run(
        str(out),
        "--coupling",
        "moderate",
        "--conversations",
        "20",
        "--turns",
        "5",
        "30",
        "--seed",
        "3",
        "--no-text",
    )
    assert ran.exit_code == 0, ran.output
    table = read_table(out)
    assert set(table["corpus"].to_pylist()) == {"simulated-moderate"}
    tie = COUPLINGS["moderate"].model_copy(update={"text": 0.0})
    conversations = simulate(20, (5, 30), tie, 3)
    assert table.equals(to_table(conversations, "simulated-moderate"))
    for hear_own in (True, False):
        best = score(conversations, tie, hear_own=hear_own)["optimal"]
        assert " │ ".join(f"{loss:.4f}" for loss in best.values()) in ran.output


@pytest.mark.parametrize(
    ("options", "says"),
    [(["--coupling", "firm"], "strong, moderate, none"), (["--turns", "9", "5"], "smaller number")],
)
def test_the_command_says_what_is_allowed(tmp_path: Path, options: list[str], says: str):
    ran = run(str(tmp_path / "x.parquet"), *options)
    assert ran.exit_code == 2
    assert says in " ".join(ran.output.replace("│", " ").split())
    assert not list(tmp_path.iterdir())

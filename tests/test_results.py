"""`make results`: what is planned, what is kept, and a front page that tells what was reached and what was not."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import typer
from simulated_runs import WORDS, run, table
from typer.testing import CliRunner

from entrain_training import results as make_results
from entrain_training.aims import DEFAULT, Optimum, find_aims, pair
from entrain_training.coupling import COUPLINGS
from entrain_training.data import read_dialogues
from entrain_training.evaluate import evaluate
from entrain_training.findings import Results
from entrain_training.finished import EvaluationError
from entrain_training.index import simulations, write_index
from entrain_training.optimal import score
from entrain_training.plan import (
    FULL,
    HONEST,
    PUBLISHED,
    QUICK,
    REAL,
    SIMULATED,
    first,
    make_tables,
    nameless,
    plan,
)
from entrain_training.results import TITLES, judge, train
from entrain_training.simulate import simulate, to_table
from entrain_training.split import components
from entrain_training.table import read_table, write_table

app = typer.Typer()
app.command()(make_results.main)


@lru_cache
def judged() -> Results:
    """A network that has learnt, as the default, against one that has not, as the base."""
    found = evaluate([run("strong"), run("strong", epochs=0)], [table("strong")], n_shuffles=2)
    names = dict(zip((r.name for r in found.runs), (DEFAULT, "base"), strict=True))
    runs = tuple(r.model_copy(update={"name": names[r.name]}) for r in found.runs)
    pairs = tuple(p.model_copy(update={"run": names[p.run], "other": names[p.other]}) for p in found.paired)
    return found.model_copy(update={"runs": runs, "paired": pairs})


@lru_cache
def optimum() -> Optimum:
    tie, tested = COUPLINGS["strong"], {row.conversation for r in judged().runs for row in r.courses}
    conversations = [c for c in simulate(150, 40, tie, 1) if c.id in tested]
    return Optimum(
        "strong",
        judged(),
        {fed: score(conversations, tie, hear_own=fed == "recorded") for fed in ("recorded", "free")},
    )


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    """Three small tables where `entrain prepare` would put them, of speakers who have two conversations each."""
    for seed, name in enumerate(REAL):
        rows = to_table(simulate(40, 24, COUPLINGS["strong"], seed), name)
        speakers = [f"{int(s.split('-')[1]) // 2}{s[-1]}" for s in rows["speaker"].to_pylist()]
        place = rows.column_names.index("speaker")
        rows = rows.set_column(place, rows.schema.field("speaker"), [speakers])
        (tmp_path / name).mkdir()
        write_table([rows], tmp_path / name / "turns.parquet")
    return tmp_path


def test_everything_that_is_promised_is_planned(prepared: Path):
    tables = make_tables(prepared, prepared / "tables", QUICK)
    tasks = {(task.group, task.name): task for task in plan(tables, FULL)}
    honest = {name for group, name in tasks if group == HONEST}
    assert {
        "base",
        "words",
        DEFAULT,
        "dual",
        "partner",
        "none",
        "teacher-0",
        "teacher-1-to-0",
        "whole-conversation-z",
    } == honest
    assert {name for group, name in tasks if group == PUBLISHED} == {"base", "words", DEFAULT}
    assert set(SIMULATED) <= {group for group, _ in tasks}
    for (group, _), task in tasks.items():
        config = task.settings.config(WORDS)
        whose = {
            config.train_on,
            config.train_loss_on,
            config.eval_on,
            config.eval_loss_on,
            config.teacher_force_on,
        }
        assert whose == {"us"}
        if group == PUBLISHED:
            assert (config.normalise, config.likelihood) == ("conversation", "smooth_l1")
            assert task.tables == (tables["nameless"],)
    assert tasks[HONEST, "teacher-0"].settings.p_teacher(0) == 0
    schedule = tasks[HONEST, "teacher-1-to-0"].settings
    assert (schedule.p_teacher(0), schedule.p_teacher(schedule.epochs)) == (1, 0)


def test_tables_are_made_once(prepared: Path):
    tables = make_tables(prepared, prepared / "tables", QUICK)
    made = {path: path.stat().st_mtime_ns for path in (prepared / "tables").iterdir()}
    assert make_tables(prepared, prepared / "tables", QUICK) == tables
    assert {path: path.stat().st_mtime_ns for path in (prepared / "tables").iterdir()} == made
    assert make_tables(prepared, prepared / "tables", FULL._replace(simulated=50))["ami"] == prepared / "ami"


def test_who_has_no_name_can_be_split_from_themselves(prepared: Path):
    before = read_dialogues([prepared / "ami"], WORDS)
    assert len(set(components(before))) == len(before) / 2
    write_table([nameless(read_table(prepared / "ami"))], prepared / "nameless.parquet")
    after = read_dialogues([prepared / "nameless.parquet"], WORDS)
    assert len(set(components(after))) == len(after)
    assert [(d.corpus, d.id, d.texts) for d in after] == [(d.corpus, d.id, d.texts) for d in before]
    assert all((a.speaker == b.speaker).all() for a, b in zip(after, before, strict=True))


def test_the_first_conversations_are_whole(prepared: Path):
    whole = read_table(prepared / "ami")
    assert first(whole, 3).to_pylist() == whole.to_pylist()[: 3 * 24]


def test_a_page_is_kept_until_a_run_is_newer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    calls: list[Any] = []
    folder = run("strong", epochs=0)

    def counted(*given: Any, **more: Any) -> Results:
        calls.append(given)
        return evaluate(*given, **more)

    monkeypatch.setattr(make_results, "evaluate", counted)
    one = judge(tmp_path, [folder], [table("strong")], 0, 1, "x")
    assert judge(tmp_path, [folder], [table("strong")], 0, 1, "x") == one
    assert len(calls) == 1
    (folder / "config.json").touch()
    judge(tmp_path, [folder], [table("strong")], 0, 1, "x")
    assert len(calls) == 2


def test_a_run_that_was_trained_otherwise_is_not_taken_for_this_one(prepared: Path):
    task = plan(make_tables(prepared, prepared / "tables", QUICK), QUICK)[-1]
    folder = prepared / "runs" / task.group / task.name
    folder.mkdir(parents=True)
    (folder / "config.json").touch()
    for settings in (task.settings, task.settings.model_copy(update={"epochs": 7})):
        record = {"tables": [], "settings": settings.model_dump(mode="json")}
        (folder / "settings.json").write_text(json.dumps(record))
        if settings == task.settings:
            assert train(task, prepared / "runs") == f"{task.group}/{task.name}"
        else:
            with pytest.raises(EvaluationError, match="other settings"):
                train(task, prepared / "runs")


def test_aims_are_told_as_they_are():
    aims = {aim.what: aim for aim in find_aims(judged(), [optimum()])}
    reached = {what.split(",")[0].split(":")[0]: aim.reached for what, aim in aims.items()}
    assert reached["true partner below a sham one (prosody)"]
    less = pair(judged(), "base")
    assert less is not None
    assert reached["the reply’s words"] == (less.less_percent.value >= 4)
    row = judged().runs[0].find()
    assert row is not None
    assert reached["rate"] == (row.skill.value >= 0.1)
    near = [aim for aim in aims.values() if aim.what.startswith("simulator")]
    assert len(near) == 2
    for aim, fed in zip(near, ("recorded", "free"), strict=True):
        found, best = (float(text) for text in re.findall(r"0\.\d{4}", aim.found))
        assert best == pytest.approx(optimum().losses[fed]["optimal"]["smooth L1"], abs=1e-4)
        assert aim.reached == (found <= 1.05 * best)


def test_the_front_page_has_everything_and_says_what_is_not_there(tmp_path: Path):
    page = write_index(tmp_path, judged(), judged(), judged(), [optimum()], TITLES)
    text, short = page.read_text(), (tmp_path / "index.md").read_text()
    for given in (text, short):
        for figure in ("0.3859", "0.3815", "0.3663", "not reproducible here", "The Mel row", "Kalman"):
            assert figure in given
    assert not re.findall(r"https?://|<script", text)
    assert all(f'href="{folder}/results.html"' in text for folder in TITLES)
    record = json.loads((tmp_path / "index.json").read_text())
    assert [section["title"] for section in record["sections"]] == re.findall(r"<h2>(.*?)</h2>", text)[1:-1]
    assert record["optima"]["strong"]["recorded"]["optimal"]["smooth L1"] > 0
    assert short.count("\n## ") == len(record["sections"]) + 1
    row = simulations([optimum()]).rows[0]
    assert row[:2] == ("strong", "recorded")


@pytest.mark.slow
def test_all_of_it_quickly_and_again(prepared: Path, monkeypatch: pytest.MonkeyPatch):
    """With a third of the runs: the rest differ from these by a setting."""
    out = prepared / "results" / "quick"
    given = [str(prepared), "--out", str(prepared / "results"), "--quick", "--jobs", "2"]
    tasks = [
        t
        for t in plan(make_tables(prepared, out / "tables", QUICK), QUICK)
        if t.name == DEFAULT or t[:2] == (HONEST, "base")
    ]
    monkeypatch.setattr(make_results, "plan", lambda tables, scale: tasks)
    said = CliRunner().invoke(app, given)
    assert said.exit_code == 0, said.output
    runs = {path.parent: path.stat().st_mtime_ns for path in out.glob("runs/*/*/model.safetensors")}
    assert set(runs) == {out / "runs" / task.group / task.name for task in tasks}
    assert all((out / folder / "results.html").exists() for folder in TITLES)
    before = (out / "index.html").read_bytes()
    (out / "index.html").unlink()
    assert CliRunner().invoke(app, given).exit_code == 0
    assert {path.parent: path.stat().st_mtime_ns for path in out.glob("runs/*/*/model.safetensors")} == runs
    assert (out / "index.html").read_bytes() == before


def test_without_tables_it_says_what_to_do(tmp_path: Path):
    said = CliRunner().invoke(app, [str(tmp_path), "--out", str(tmp_path / "results")])
    assert said.exit_code == 2
    assert "entrain prepare" in said.output

"""Scores are what a plain loop over turns gives, every turn is counted once, and what can't be evaluated is listed."""

from __future__ import annotations

import dataclasses
import json
import shutil
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer
from scipy import stats
from simulated_runs import WORDS, dialogue, parts, run, table
from typer.testing import CliRunner

from entrain.model import STUDENT_DF, Turns
from entrain.turn import FEATURES
from entrain.weights import Trained, WeightsError
from entrain_training.baselines import PREDICTORS, Guess, smooth_l1
from entrain_training.calibration import calibration
from entrain_training.commands import evaluate as command
from entrain_training.coupling import COUPLINGS
from entrain_training.data import Side, collate
from entrain_training.evaluate import evaluate
from entrain_training.findings import Results
from entrain_training.finished import EvaluationError
from entrain_training.optimal import score as best_possible
from entrain_training.pooled import Pooled
from entrain_training.predict import MAX_LAG, Lags, Predictions, predict, sides_of
from entrain_training.scores import ALL, CHOICES, MODEL, compare, scores, tabulate
from entrain_training.simulate import simulate

EVERY = np.ones(7, bool)
ALL_TURNS, LONG_TURNS = CHOICES


@lru_cache
def results() -> Results:
    """Three runs where people entrain strongly: trained, trained with smooth L1, and not trained."""
    folders = [
        run("strong"),
        run("strong", likelihood="smooth_l1"),
        run("strong", "words-lookahead", epochs=0),
    ]
    return evaluate(folders, [table("strong")], n_shuffles=2)


def fixed(turns: Pooled, location: np.ndarray, scale: float = 1.0) -> Predictions:
    """Predictions of every turn, once."""
    n = len(turns)
    return Predictions(np.arange(n), np.ones(n, bool), location, np.full((n, 7), scale, np.float32), Lags())


def guessed(turns: Pooled, location: float) -> dict[str, Guess]:
    return {name: Guess(np.full((len(turns), 7), location), np.ones(7)) for name in PREDICTORS}


@pytest.mark.parametrize("free", [False, True])
def test_predictions_are_those_of_a_plain_loop_over_turns(free: bool):
    trained, turns = (
        Trained.load(run("strong", "words-lookahead", epochs=0)),
        Pooled.of(parts("strong")["test"][:3]),
    )
    found = predict(trained, turns, sides_of(turns), WORDS, free=free)
    assert sorted(found.turn) == list(range(len(turns)))
    with torch.no_grad():
        for row in range(0, len(turns), 7):
            turn = found.turn[row]
            d, t = turns.dialogues[turns.conversation[turn]], turns.place[turn]
            batch = collate([Side(d, int(d.speaker[t]))], WORDS)
            steps, state = Turns(batch, batch.us), trained.model.start()
            for i in range(t + 1):
                now = steps.at(i)
                foreseen = trained.model.foresee(state, now)
                z = foreseen.location * now.valid if free and d.speaker[i] == d.speaker[t] else now.z
                state = trained.model.observe(state, now._replace(z=z), foreseen)
            assert found.location[row] == pytest.approx(foreseen.location[0].numpy(), abs=1e-5)
            assert found.scale[row] == pytest.approx(foreseen.scale[0].numpy(), abs=1e-5)


def test_a_model_that_runs_free_never_hears_us():
    trained, turns = Trained.load(run("strong")), Pooled.of(parts("strong")["test"][:3])
    other = Pooled.of([
        dataclasses.replace(d, z=np.where((d.speaker == 0)[:, None] & d.valid, 3, d.z).astype(np.float32))
        for d in turns.dialogues
    ])  # fmt: skip
    sides, others = ([s for s in sides_of(given) if s[1].us == 0] for given in (turns, other))
    for free in (True, False):
        one = predict(trained, turns, sides, WORDS, free=free)
        two = predict(trained, other, others, WORDS, free=free)
        assert np.allclose(one.location, two.location, atol=1e-5) == free


def test_batches_of_any_size_give_the_same(monkeypatch: pytest.MonkeyPatch):
    trained, turns = Trained.load(run("strong")), Pooled.of(parts("strong")["test"][:5])
    one = predict(trained, turns, sides_of(turns), WORDS)
    monkeypatch.setattr("entrain_training.predict.MAX_PAIRS", 1)
    two = predict(trained, turns, sides_of(turns), WORDS)
    assert np.allclose(one.location[np.argsort(one.turn)], two.location[np.argsort(two.turn)], atol=1e-5)


def test_with_both_each_side_counts_every_turn():
    folder = run("strong", epochs=0, eval_on="both", eval_loss_on="both")
    turns = Pooled.of(parts("strong")["test"][:3])
    found = predict(Trained.load(folder), turns, sides_of(turns), WORDS)
    assert np.bincount(found.turn).tolist() == [2] * len(turns)
    assert found.own.sum() == len(turns)
    assert evaluate([folder], [table("strong")], n_shuffles=0).runs[0].find() is not None


def test_scores_are_those_of_a_plain_loop():
    trained, turns = Trained.load(run("strong")), Pooled.of(parts("strong")["test"])
    found = predict(trained, turns, sides_of(turns), WORDS)
    rows, _ = scores(
        tabulate(turns, found, guessed(turns, 0.1), "student", EVERY, "recorded", ALL_TURNS), "student"
    )
    row = next(row for row in rows if row.feature == FEATURES[2])
    errors, values, nll = [], [], []
    for turn, location, scale in zip(found.turn, found.location[:, 2], found.scale[:, 2], strict=True):
        if turns.valid[turn, 2]:
            values.append(turns.target[turn, 2])
            errors.append(turns.target[turn, 2] - location)
            nll.append(-stats.t.logpdf(errors[-1] / scale, STUDENT_DF) + np.log(scale))
    e, y = np.array(errors), np.array(values)
    assert row.n == len(e)
    assert row.smooth_l1.value == pytest.approx(
        np.where(np.abs(e) < 1, e**2 / 2, np.abs(e) - 0.5).mean(), rel=1e-5
    )
    assert row.mae.value == pytest.approx(np.abs(e).mean(), rel=1e-5)
    assert row.r2.value == pytest.approx(1 - (e**2).sum() / ((y - y.mean()) ** 2).sum(), rel=1e-4)
    assert row.nll.value == pytest.approx(np.mean(nll), rel=1e-4)
    assert row.skill.value == pytest.approx(1 - row.smooth_l1.value / smooth_l1(y - 0.1).mean(), rel=1e-4)


def test_nothing_is_better_than_the_truth_nor_worse_than_oneself():
    turns = Pooled.of(parts("strong")["test"])
    for said, skill, r2 in ((turns.target, 1.0, 1.0), (np.full_like(turns.target, 0.3), 0.0, None)):
        sheet = tabulate(
            turns, fixed(turns, said), guessed(turns, 0.3), "laplace", EVERY, "recorded", ALL_TURNS
        )
        row = scores(sheet, "laplace")[0][0]
        assert (row.skill.value, row.skill.low, row.skill.high) == pytest.approx((skill,) * 3, abs=1e-6)
        assert r2 is None or row.r2.value == pytest.approx(r2)


def test_who_runs_free_is_compared_with_those_that_never_hear_us():
    for row in results().runs[0].scores:
        hears_us = {name for name in row.trivial if "own" in PREDICTORS[name]}
        assert bool(hears_us) == (row.fed == "recorded")
        assert row.best == min(row.trivial, key=lambda name: row.trivial[name].smooth_l1)
        assert row.skill == row.trivial[row.best].skill


def test_few_values_are_listed_not_scored():
    rng = np.random.default_rng(0)
    valid = np.ones((120, 7), bool)
    valid[99:, 1] = valid[1:, 2] = valid[:, 3] = False
    turns = Pooled.of([dialogue([0, 1] * 60, rng.standard_normal((120, 7)), valid)])
    sheet = tabulate(turns, fixed(turns, turns.z), guessed(turns, 0), "student", EVERY, "recorded", ALL_TURNS)
    rows, few = scores(sheet, "student")
    assert {row.feature for row in rows} == {ALL, *FEATURES} - {FEATURES[1], FEATURES[2], FEATURES[3]}
    assert rows[0].n == 4 * 120
    assert few == [
        "f0_range_st of made (all turns): too few, 99 values; 100 are needed",
        "level_db of made (all turns): too few, 1 values; 100 are needed",
    ]


def test_short_turns_are_told_apart():
    texts = ["yes", "now we go", "we go to the water"] * 50
    turns = Pooled.of([dialogue([0, 1] * 75, np.ones((150, 7)), texts=texts)])
    sheet = tabulate(
        turns, fixed(turns, turns.z), guessed(turns, 0), "student", EVERY, "recorded", LONG_TURNS
    )
    assert sheet.sums[MODEL][0, :, -1].tolist() == [100] * 7


@pytest.mark.parametrize("likelihood", ["laplace", "student"])
def test_a_true_scale_covers_what_it_says(likelihood: Any):
    drawn = (stats.laplace if likelihood == "laplace" else stats.t(STUDENT_DF)).rvs(
        size=(3000, 7), random_state=0
    )
    turns = Pooled.of([dialogue([0, 1] * 1500, 0.5 * drawn)])
    rows = {
        scale: calibration(turns, fixed(turns, np.zeros((3000, 7)), scale), likelihood, EVERY)
        for scale in (0.5, 0.25)
    }
    assert [row.feature for row in rows[0.5]] == ["all", *FEATURES]
    for row in rows[0.5]:
        assert [row.coverage[level] for level in ("50", "80", "90")] == pytest.approx(
            [0.5, 0.8, 0.9], abs=0.03
        )
        assert row.histogram == pytest.approx([0.1] * 10, abs=0.03)
    assert all(row.coverage["80"] < 0.65 for row in rows[0.25])  # half as wide as it should be


def test_runs_are_compared_on_the_same_turns():
    turns = Pooled.of(parts("strong")["test"])
    near, far, elsewhere = (
        tabulate(given, fixed(given, given.target + off), guessed(given, 0), "student", EVERY, "recorded", ALL_TURNS)
        for given, off in ((turns, 0.5), (turns, 0.8), (Pooled.of(parts("none")["test"]), 0.1))
    )  # fmt: skip
    row = compare("near", near, "far", far)
    assert row is not None
    assert row.less_percent.value == pytest.approx(100 * (1 - 0.5**2 / 0.8**2), rel=1e-4)
    assert row.p < 0.001
    same = compare("near", near, "again", near)
    assert same is not None
    assert (same.less_percent.value, same.p) == (0, 1)
    assert compare("near", near, "elsewhere", elsewhere) is None
    fewer = dataclasses.replace(turns, valid=turns.valid & (turns.place > 3)[:, None])
    sheet = tabulate(fewer, fixed(fewer, fewer.z), guessed(fewer, 0), "student", EVERY, "recorded", ALL_TURNS)
    assert compare("near", near, "fewer", sheet) is None


def test_where_people_entrain_the_model_beats_what_hears_only_us_and_comes_near_the_best():
    row, free = results().runs[0].find(), results().runs[0].find(fed="free")
    assert row is not None
    assert free is not None
    for name in ("constant", "own mean", "own last", "own exponential average", "ridge on own"):
        assert row.trivial[name].skill.is_above_0, name
    assert free.trivial["constant"].skill.is_above_0
    strong = COUPLINGS["strong"]
    best = best_possible(simulate(40, 40, strong, 2), strong)["optimal, all words unseen"]["smooth L1"]
    assert best < row.smooth_l1.value < 1.15 * best
    assert row.smooth_l1.value < free.smooth_l1.value
    untrained = results().runs[2].find()
    assert untrained is not None
    assert untrained.skill.high < 0


def test_everything_is_finite_and_comes_back_from_json():
    def refuse(value: str) -> None:
        raise AssertionError(value)

    text = results().model_dump_json()
    json.loads(text, parse_constant=refuse)
    assert Results.model_validate_json(text) == results()


def test_what_a_run_is_is_told():
    base, l1, ahead = results().runs
    assert base.name == "strong-base-8"
    assert base.settings == {"epochs": 8}
    assert base.n_conversations == len(parts("strong")["test"])
    assert base.n_shared_speakers == 0
    assert base.n_turns == 40 * base.n_conversations
    assert (l1.find().nll, l1.calibration) == (None, ())
    assert (
        f"{l1.name}: likelihood and calibration: trained on smooth L1, it predicts no scale"
        in results().left_out
    )
    assert ahead.attention is not None
    assert len(ahead.attention["own"]) == MAX_LAG
    assert len(results().paired) == 3 * 4


def test_attention_by_distance():
    over = torch.zeros(1, 1, 30, 31)
    us = torch.arange(30)[None] % 2 == 0
    for t in range(30):
        over[0, 0, t, 0], over[0, 0, t, max(t, 0)] = 0.25, 0.75  # on "no turn", and on the turn before
    lags = Lags()
    lags.add(over, us, us)
    found = lags.summary()
    assert found is not None
    looking = np.arange(20, 30, 2)
    assert found["n"] == 5
    assert (found["own_share"], found["partner_share"]) == pytest.approx((0, 0.75))
    assert (found["no_turn_share"], found["further_share"]) == pytest.approx((0.25, 0), abs=1e-6)
    assert found["partner"][0] == pytest.approx(0.75 * (looking + 1).mean())
    assert found["own"][0] is None
    lags = Lags()
    lags.add(torch.full((1, 1, 30, 31), 1 / 30).tril(0) * 30 / torch.arange(1, 31)[:, None], us, us)
    even = lags.summary()
    assert even is not None
    assert [v for v in (*even["own"], *even["partner"]) if v is not None] == pytest.approx([1.0] * MAX_LAG)


def test_looks_show_the_words_that_were_weighed():
    for look in results().runs[2].looks:
        assert look.number >= 8
        assert sum(w.weight for w in look.words) == pytest.approx(1, abs=1e-4)
        assert sum(t.weight for t in look.turns) + look.others + look.no_turn == pytest.approx(1, abs=1e-4)
        d = next(d for d in parts("strong")["test"] if d.id == look.conversation)
        for seen in look.turns:
            assert seen.number < look.number
            assert " ".join(w.word for w in seen.words) == d.texts[seen.number]
            assert seen.own == (d.speaker[seen.number] == d.speaker[look.number])
        assert all(
            look.true[n] == pytest.approx(float(d.target[look.number, FEATURES.index(n)])) for n in look.true
        )
    assert all(
        w.weight is None for look in results().runs[0].looks for w in look.words
    )  # base reads no words


def test_a_variant_without_attention_has_none():
    folder = run("strong", "none", epochs=0)
    found = evaluate([folder], [table("strong")], n_shuffles=0)
    assert found.runs[0].attention is None
    assert all(look.no_turn is None and not look.turns for look in found.runs[0].looks)
    assert "none were asked for" in found.left_out[-1]


# --- What can't be ----------------------------------------------------------------------------------------------------


def copied(folder: Path, to: Path, **split: Any) -> Path:
    shutil.copytree(folder, to)
    if split:
        record = json.loads((to / "split.json").read_text())
        (to / "split.json").write_text(json.dumps(record | split))
    return to


def test_bad_runs_are_errors_that_say_what_to_do(tmp_path: Path):
    good, tables = run("strong", epochs=0), [table("strong")]
    with pytest.raises(WeightsError, match="can't be read"):
        evaluate([tmp_path / "nothing"], tables)
    with pytest.raises(EvaluationError, match=r"Give the tables that it was trained on"):
        evaluate([good], [table("none")])
    with pytest.raises(EvaluationError, match=r"split\.json.* does not list"):
        evaluate([copied(good, tmp_path / "a", test=[1, 2])], tables)
    (copied(good, tmp_path / "b") / "split.json").unlink()
    with pytest.raises(EvaluationError, match=r"split\.json can't be read"):
        evaluate([tmp_path / "b"], tables)
    with pytest.raises(EvaluationError, match="is in two of"):
        evaluate([good], [*tables, *tables])
    with pytest.raises(EvaluationError, match=r"there is no .*nowhere"):
        evaluate([good], [tmp_path / "nowhere"])
    one = json.loads((good / "split.json").read_text())["test"][:1]
    learnt = dict.fromkeys(FEATURES, "no") | {"nhr": "real"}
    dataclasses.replace(Trained.load(good), learnt=learnt).save(copied(good, tmp_path / "c", test=one))
    with pytest.raises(EvaluationError, match="fewer than 100 values"):
        evaluate([tmp_path / "c"], tables)


def test_other_words_are_refused(tmp_path: Path):
    vectors = tmp_path / "other.txt"
    vectors.write_text("yes " + " ".join(["0.5"] * 50) + "\nno " + " ".join(["0.1"] * 50) + "\n")
    with pytest.raises(WeightsError, match="word vectors"):
        evaluate([run("strong", "words-lookahead", epochs=0)], [table("strong")], vectors=vectors)


def test_of_several_runs_the_good_are_evaluated_and_the_others_listed(tmp_path: Path):
    good = run("strong", epochs=0)
    twin = copied(good, tmp_path / good.name)
    found = evaluate([good, twin, tmp_path / "nothing"], [table("strong")], n_shuffles=0)
    assert [r.name for r in found.runs] == [str(good), str(twin)]
    assert any("nothing" in line and "can't be read" in line for line in found.left_out)
    assert {row.p for row in found.paired} == {1.0}
    with pytest.raises(EvaluationError, match="none of the runs"):
        evaluate([tmp_path / "nothing", tmp_path / "neither"], [table("strong")])


def test_what_lacks_is_listed(tmp_path: Path):
    good = run("strong", epochs=0)
    record = json.loads((good / "split.json").read_text())
    trained = dataclasses.replace(
        Trained.load(good), learnt=dict.fromkeys(FEATURES, "real") | {"jitter": "no"}
    )
    folder = trained.save(copied(good, tmp_path / "run", test=[*record["test"], ["gone", "1"]]))
    found = evaluate([folder], [table("strong")], n_shuffles=0)
    assert "run: jitter: the model has not learnt it" in found.left_out
    assert "run: 1 conversations of the test part, which are not in the tables given" in found.left_out
    assert {row.feature for row in found.runs[0].scores} == {ALL, *FEATURES} - {"jitter"}


# --- The command ------------------------------------------------------------------------------------------------------

app = typer.Typer()
app.command()(command)


def test_the_command_writes_the_page_and_prints_json(tmp_path: Path):
    given = [
        str(run("strong", epochs=0)),
        "--table",
        str(table("strong")),
        "--shuffles",
        "1",
        "--out",
        str(tmp_path / "out"),
    ]
    said = CliRunner().invoke(app, [*given, "--json"])
    assert said.exit_code == 0, said.output
    found = Results.model_validate_json(said.stdout)
    assert json.loads((tmp_path / "out" / "results.json").read_text()) == json.loads(said.stdout)
    assert found.runs[0].sham[0].n_shuffles == 1
    assert (tmp_path / "out" / "results.html").is_file()
    said = CliRunner().invoke(app, [*given, "--part", "dev"])
    assert "## All turns" in said.stdout
    assert "The dev part" in said.stdout


def test_the_command_tells_what_is_wrong(tmp_path: Path):
    said = CliRunner().invoke(
        app, [str(tmp_path), "--table", str(table("strong")), "--out", str(tmp_path / "out")]
    )
    assert said.exit_code == 2
    words = "".join(said.output.split())  # a long path is broken anywhere, by how long it is
    assert f"entrain:{tmp_path}/config.jsoncan'tberead(" in words
    said = CliRunner().invoke(app, [str(tmp_path), "--table", "x", "--part", "exam"])
    assert said.exit_code == 2
    assert "Select one of test, dev, train" in said.output.replace("\n", " ")
    assert not (tmp_path / "out").exists()

"""Training: it learns what there is to learn, goes on exactly where it was stopped, and says clearly what it can't do."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from rich.console import Console
from test_simulate import rate_only
from torch.utils.data.dataloader import _BaseDataLoaderIter
from typer.testing import CliRunner

from entrain.cli import app
from entrain.model import MEL_BANDS, VARIANTS
from entrain.parity import parity
from entrain.turn import FEATURES
from entrain.weights import Trained
from entrain.words import Words
from entrain_training.card import learnt
from entrain_training.columns import schema
from entrain_training.coupling import COUPLINGS, Coupling
from entrain_training.data import read_dialogues
from entrain_training.presets import PRESETS
from entrain_training.run import CHECKPOINT
from entrain_training.scale import best_factor, loss
from entrain_training.settings import Training, TrainingError
from entrain_training.simulate import fill_table, simulate, to_table
from entrain_training.table import read_table, write_table

pytest.importorskip("lightning", reason="pip install 'entrain[train]'")
from entrain_training.train import fit

SMALL: dict[str, Any] = {"hidden": 16, "word_hidden": 8, "batch_size": 8, "free_every": 0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("train")


@pytest.fixture(scope="module")
def table(folder: Path) -> Path:
    return written(folder / "strong", simulate(60, 30, COUPLINGS["strong"], seed=1))


def written(path: Path, simulated: Any, corpus: str = "simulated") -> Path:
    path.mkdir()
    write_table([to_table(simulated, corpus)], path / "turns.parquet")
    return path


def weights(run: Path) -> bytes:
    return (run / "model.safetensors").read_bytes()


def history(run: Path) -> list[dict[str, Any]]:
    return json.loads((run / "history.json").read_text())


@contextmanager
def interrupted(run: Path, after: int) -> Iterator[None]:
    """Ctrl-C once so many epochs are done; again after 3 s, where an exception went unheeded, as those in `__del__` do."""
    pressed_s, is_over = 0.0, threading.Event()

    def on_signal(*_: Any) -> None:
        nonlocal pressed_s
        if time.monotonic() - pressed_s > 3:
            pressed_s = time.monotonic()
            raise KeyboardInterrupt

    def watch() -> None:
        while not is_over.wait(0.01):
            if (run / "history.json").exists() and len(history(run)) >= after:
                os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, on_signal)
    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
        assert signal.getsignal(signal.SIGINT) is on_signal, "Ctrl-C works again"
    finally:
        is_over.set()
        thread.join()
        signal.signal(signal.SIGINT, before)


# --- it learns --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_strong_coupling_is_learnt_and_the_folder_has_all(folder: Path):
    table = written(
        folder / "much", simulate(150, 40, Coupling(synchrony=0.5, persistence=0.3, missing=0), seed=2)
    )
    run = folder / "learns"
    fit([table], run, Training(variant="base", epochs=8, learning_rate=0.01, **SMALL))
    trained = Trained.load(run)  # and no pickle is read
    judged = trained.card["judged"]
    assert judged["loss"] < judged["loss_of_0"] - 0.1
    assert judged["loss"] < judged["loss_free"] < judged["loss_of_0"]
    assert [row["epoch"] for row in history(run)] == [*range(1, 9)]
    assert set(trained.learnt.values()) == {"simulated"}
    assert (run / "logs").is_dir()
    split = json.loads((run / "split.json").read_text())
    assert {part: len(ids) for part, ids in split.items()} == {"train": 105, "dev": 15, "test": 30}
    assert len({tuple(name) for ids in split.values() for name in ids}) == 150
    assert trained.card["n_turns"] == 105 * 40
    assert trained.card["corpora"]["simulated"]["speakers"] == 300


def test_the_best_epoch_is_kept_and_scales_are_as_errors_are(table: Path, folder: Path):
    run = folder / "best"
    trained = fit(
        [table], run, Training(epochs=12, patience=3, learning_rate=0.05, likelihood="laplace", **SMALL)
    )
    losses = [row["dev_loss"] for row in history(run)]
    best = losses.index(min(losses))
    assert best + 1 == trained.card["epoch"]
    assert len(losses) == min(12, best + 1 + 3), "stopped after three epochs without a better one"
    assert trained.card["judged"]["loss"] <= min(losses) + 1e-6  # the same weights, with scales that fit
    assert trained.card["judged"]["loss"] == pytest.approx(min(losses), abs=0.1)
    assert 0.5 < float(trained.model.calibration.mean()) < 2


def test_one_seed_gives_the_same_model_and_another_gives_another(table: Path, folder: Path):
    for name, seed in (("one", 1), ("again", 1), ("other", 2)):
        fit([table], folder / name, Training(variant="base", epochs=1, seed=seed, **SMALL))
    assert weights(folder / "one") == weights(folder / "again") != weights(folder / "other")
    assert (folder / "one" / "split.json").read_text() == (folder / "other" / "split.json").read_text()


def test_both_sides_free_running_and_a_teacher_who_leaves(table: Path, folder: Path):
    both = dict.fromkeys(("train_on", "train_loss_on", "eval_on", "eval_loss_on", "teacher_force_on"), "both")
    settings = Training(variant="base", epochs=3, teacher=1, teacher_end=0, teacher_epochs=2, teacher_each="feature",
                        **(SMALL | {"free_every": 2}), **both)  # fmt: skip
    trained = fit([table], folder / "both", settings)
    rows = history(folder / "both")
    assert [row["p_teacher"] for row in rows] == [1, 0.5, 0]
    assert ["dev_loss_free" in row for row in rows] == [False, True, False]
    assert trained.model.config.eval_loss_on == "both"


def test_spectrograms_can_be_trained_on(table: Path, folder: Path):
    rng, turns = np.random.default_rng(0), read_table(table)
    heard = [rng.normal(size=(n, MEL_BANDS)).astype("<f2").tobytes() for n in rng.integers(0, 9, len(turns))]
    (folder / "heard").mkdir()
    write_table(
        [turns.append_column(schema(mel=True).field("mel"), [heard])],
        folder / "heard" / "turns.parquet",
        mel=True,
    )
    trained = fit(
        [folder / "heard"], folder / "of-mel", Training(variant="mel", epochs=1, teacher=0.5, **SMALL)
    )
    assert trained.model.config.mel


@pytest.mark.parametrize("likelihood", ["smooth_l1", "laplace"])
def test_all_of_it_can_be_trained_on(table: Path, folder: Path, likelihood: str):
    run = folder / f"all-{likelihood}"
    trained = fit(
        [table], run, Training(variant="base", epochs=2, everything=True, likelihood=likelihood, **SMALL)
    )
    split = json.loads((run / "split.json").read_text())
    assert {part: len(ids) for part, ids in split.items()} == {"train": 60, "dev": 0, "test": 0}
    assert trained.card["epoch"] == 2
    assert trained.card["judged"]["part"] == "train"
    if likelihood == "smooth_l1":  # one scale for each feature: its mean error, here nearly its mean size
        assert trained.model.calibration.numpy() == pytest.approx(trained.usual, abs=0.1)
        assert 0.6 < trained.usual[0] < 0.9


# --- it goes on -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(("variant", "schedule"), [("words-lookahead", "cosine"), ("base", "plateau")])
def test_what_was_stopped_goes_on_to_the_very_same_weights(
    table: Path, folder: Path, variant: str, schedule: str
):
    """Dropout, the order of windows, free running, the optimiser's moments and its rate: all as if nothing had been."""
    settings = Training(
        variant=variant, schedule=schedule, epochs=5, teacher=0.9, learning_rate=0.02, window=25, **SMALL
    )
    whole, parts = folder / f"whole-{schedule}", folder / f"parts-{schedule}"
    fit([table], whole, settings)
    for n_epochs in (1, 3):
        with interrupted(parts, n_epochs), pytest.raises(KeyboardInterrupt):
            fit([table], parts, settings, resume=n_epochs > 1)
        assert n_epochs <= len(history(parts)) < 5
        assert not (parts / "model.safetensors").exists()
    fit([table], parts, settings, resume=True)
    assert weights(parts) == weights(whole)
    ours, theirs = (
        [{**row, "seconds": 0, "turns_per_s": 0} for row in history(run)] for run in (parts, whole)
    )
    assert ours == theirs
    assert (
        fit([table], parts, settings, resume=True).card == Trained.load(whole).card
    )  # nothing is left to do


def test_stopped_before_an_epochs_first_batch(table: Path, folder: Path, monkeypatch: pytest.MonkeyPatch):
    """CI once met it: Lightning can't tidy up a loader that never began, and that hid the Ctrl-C."""
    run, begin = folder / "early", _BaseDataLoaderIter.__init__

    def pressed(self: Any, loader: Any) -> None:
        if (run / "history.json").exists():
            raise KeyboardInterrupt
        begin(self, loader)

    settings = Training(variant="base", epochs=2, **SMALL)
    with monkeypatch.context() as patch:
        patch.setattr(_BaseDataLoaderIter, "__init__", pressed)
        with pytest.raises(KeyboardInterrupt):
            fit([table], run, settings)
    assert len(history(run)) == 1
    fit([table], run, settings, resume=True)
    assert len(history(run)) == 2


def test_another_training_does_not_go_on(table: Path, folder: Path):
    run, settings = folder / "once", Training(variant="base", epochs=1, **SMALL)
    fit([table], run, settings)
    with pytest.raises(TrainingError, match=r"a training in .*once already.* --resume"):
        fit([table], run, settings)
    with pytest.raises(TrainingError, match=r"can't go on: epochs was 1, is 2\. Begin anew"):
        fit([table], run, settings.model_copy(update={"epochs": 2}), resume=True)
    fit([table], run, settings.model_copy(update={"devices": "1", "workers": 1}), resume=True)
    other = written(folder / "fewer", simulate(59, 30, COUPLINGS["strong"], seed=1))
    with pytest.raises(TrainingError, match="other conversations or turns"):
        fit([other], run, settings, resume=True)
    (run / CHECKPOINT).write_bytes(b"no checkpoint")
    with pytest.raises(TrainingError, match=r"last\.ckpt can't be read"):
        fit([table], run, settings, resume=True)


FULL = """
import resource, sys
from entrain_training.train import Training, fit
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]),) * 2)
fit([sys.argv[1]], sys.argv[2], Training(**eval(sys.argv[4])), resume=sys.argv[5] == "on")
"""


@pytest.mark.slow
def test_a_full_disk_is_told_by_file_and_the_last_checkpoint_stays(table: Path, folder: Path):
    """A file may have 20 kB: settings and history fit, a checkpoint does not."""
    run, settings = folder / "full", {"variant": "base", "epochs": 5} | SMALL
    with interrupted(run, 2), pytest.raises(KeyboardInterrupt):
        fit([table], run, Training(**settings))
    before = (run / CHECKPOINT).read_bytes()
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(table), str(run), "20000", repr(settings), "on"],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 1
    assert f"TrainingError: {run / CHECKPOINT} can't be written" in done.stderr
    assert "--resume" in done.stderr
    assert (run / CHECKPOINT).read_bytes() == before
    assert [path.name for path in (run / CHECKPOINT).parent.iterdir()] == ["last.ckpt"], (
        "no half file is left"
    )
    fit([table], run, Training(**settings), resume=True)
    assert len(history(run)) == 5


# --- what was learnt --------------------------------------------------------------------------------------------------


def test_what_people_taught_is_told_from_what_the_simulator_did(folder: Path):
    def dialogues(name: str, table: Any) -> list[Any]:
        (folder / name).mkdir()
        write_table([table], folder / name / "turns.parquet")
        return read_dialogues([folder / name], Words.load())

    simulated = dialogues(
        "simulated", to_table(simulate(5, 30, Coupling(missing=0), seed=3), "simulated-strong")
    )
    real = dialogues("real", to_table(simulate(5, 30, Coupling(missing=0), seed=4), "talk"))  # bears no mark
    rate = rate_only()
    voiced = dialogues(
        "voiced", fill_table(rate, [name for name in FEATURES if name != "rate_syll_s"], Coupling(), 5)
    )
    every = dict.fromkeys(FEATURES, "simulated")
    assert learnt(simulated) == every
    assert learnt([*simulated, *real]) == dict.fromkeys(FEATURES, "real")
    assert learnt([*voiced, *voiced]) == every | {"rate_syll_s": "real"}
    assert learnt(voiced)["rate_syll_s"] == "no", "of 96 values"
    assert learnt([*simulated, *dialogues("rate", rate)]) == every, "96 real ones are too few"


def test_a_corpus_whose_words_are_unknown_is_remarked_on(folder: Path):
    table = to_table(simulate(30, 20, Coupling(), seed=6), "foreign")
    table = changed(table, {"text": ["þakka þér kærlega", "jæja elskan"] * 300})
    (folder / "foreign").mkdir()
    write_table([table], folder / "foreign" / "turns.parquet")
    console = Console(record=True, width=200, file=io.StringIO())
    settings = Training(epochs=1, **SMALL)
    trained = fit([folder / "foreign"], folder / "of-foreign", settings, console=console)
    assert "foreign: the word vectors lack" in console.export_text()
    assert trained.card["corpora"]["foreign"]["unknown_words"] > 0.5
    assert trained.card["remarks"]


def test_a_factor_for_the_scale_makes_errors_likeliest():
    rng = np.random.default_rng(0)
    scale = rng.uniform(0.5, 2, 4000).astype(np.float32)
    errors = {"laplace": rng.laplace(size=4000), "student": rng.standard_t(5, 4000)}
    for kind, error in errors.items():
        error = (1.7 * scale * error).astype(np.float32)
        factor = best_factor(kind, error, scale)
        assert factor == pytest.approx(1.7, rel=0.05)
        losses = [loss(kind, error, scale * np.float32(factor * change)) for change in (0.97, 1, 1.03)]
        assert min(losses) == losses[1]


# --- settings ---------------------------------------------------------------------------------------------------------


def test_the_teacher_leaves_in_a_straight_line():
    assert [Training().p_teacher(epoch) for epoch in (0, 50)] == [1, 1]
    leaves = Training(teacher=0.8, teacher_end=0.2, teacher_epochs=3)
    assert [leaves.p_teacher(epoch) for epoch in range(5)] == pytest.approx([0.8, 0.6, 0.4, 0.2, 0.2])


def test_rates_of_learning():
    late = 1000  # steps: warm
    assert Training(learning_rate=0.01).rate(0, 0, []) == pytest.approx(0.01 / 50)
    assert [Training(learning_rate=0.01).rate(g, late, []) for g in (0, 0.5, 1)] == pytest.approx(
        [0.01, 0.005, 0]
    )
    falling, stuck = [3.0, 2.0, 1.0], [3.0, 1.0, 1.0, 1.0, 1.0, 1.5, 1.2, 1.1]
    plateau = Training(schedule="plateau", learning_rate=0.01)
    assert [plateau.rate(0.9, late, losses) for losses in (falling, stuck)] == pytest.approx([0.01, 0.0025])


def test_patience_ends_it():
    settings = Training(epochs=10, patience=2)
    assert not settings.done(4, [3, 2, 2.5, 1.9])
    assert settings.done(5, [3, 2, 1, 2.5, 2])
    assert settings.done(10, [])
    assert not settings.done(9, [])


def test_settings_come_back_from_json_and_change_the_network():
    settings = Training(variant="dual", hidden=24, train_on="both", epochs=3, vectors="x.txt")
    assert Training(**json.loads(settings.model_dump_json())) == settings
    config = settings.config(Words.load())
    assert (config.attention, config.hidden, config.train_on) == ("dual", 24, "both")
    assert config.vocabulary == Words.load().id
    assert set(PRESETS) == set(VARIANTS)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"batch_size": 0}, "batch_size is 0: input should be greater than or equal to 1"),
        ({"epochs": 0}, "epochs is 0"),
        ({"learning_rate": 0}, "learning_rate is 0"),
        ({"teacher": 1.5}, "teacher is 1.5"),
        ({"schedule": "steps"}, "schedule is 'steps': input should be 'cosine', 'plateau' or 'constant'"),
        ({"variant": "huge"}, "no variant 'huge'. Select one of base, words"),
        ({"hidden": 1}, "hidden is 1"),
        ({"likelihood": "gauss"}, "likelihood is 'gauss'"),
        ({"train_loss_on": "both"}, 'needs train_on="both"'),
        ({"lerning_rate": 1}, "there is no setting 'lerning_rate'. Select from accelerator, attention, batch_size"),
        ({"vocabulary": "x"}, "there is no setting 'vocabulary'"),
    ],
)  # fmt: skip
def test_settings_that_can_not_be_are_refused(given: dict[str, Any], says: str):
    with pytest.raises(TrainingError) as error:
        Training(**given)
    assert says in str(error.value)


def changed(table: Any, values: dict[str, list[Any]]) -> Any:
    """The table with other values in these columns."""
    for column, cells in values.items():
        kind = table.schema.field(column)
        table = table.set_column(table.column_names.index(column), kind, pa.array(cells, kind.type))
    return table


def test_tables_that_can_not_be_trained_on_are_refused(table: Path, folder: Path):
    def refused(says: str, tables: list[Path], settings: Training = Training(**SMALL)) -> None:
        with pytest.raises(ValueError, match=says):
            fit(tables, folder / "refused", settings)
        assert not (folder / "refused").exists()

    empty = folder / "empty"
    empty.mkdir()
    nothing = {prefix + name: [None] * 1800 for prefix in ("", "z_", "target_") for name in FEATURES}
    nothing["missing"] = [json.dumps(dict.fromkeys(FEATURES, "no audio"))] * 1800
    write_table([changed(read_table(table), nothing)], empty / "turns.parquet")
    refused(r"empty has no value of any feature", [empty])
    refused("there is no table", [])
    refused("there is no .*nowhere", [folder / "nowhere"])
    refused("simulated 1-0000 is in two of", [table, table])
    refused("has no Mel-spectrograms.*--mel", [table], Training(variant="mel"))
    refused("can't train like this|CUDA|GPU", [table], Training(accelerator="cuda", **SMALL))
    lonely = written(folder / "lonely", simulate(2, 30, COUPLINGS["none"], seed=7))
    refused("nothing for dev: the 2 conversations fall into 2 that share no speaker", [lonely])
    refused("there is no nowhere.txt", [table], Training(vectors="nowhere.txt"))


def test_a_loss_that_is_no_number_is_told(table: Path, folder: Path):
    (folder / "wild").mkdir()
    wild = read_table(table)["target_level_db"].to_pylist()
    wild = changed(read_table(table), {"target_level_db": [value and value * 1e30 for value in wild]})
    write_table([wild], folder / "wild" / "turns.parquet")
    with pytest.raises(
        TrainingError, match=r"not a number any more in epoch 1 .*smaller learning rate than 0.003"
    ):
        fit([folder / "wild"], folder / "of-wild", Training(variant="base", epochs=2, **SMALL))
    assert not (folder / "of-wild" / CHECKPOINT).exists()


# --- as people type it ------------------------------------------------------------------------------------------------


def entrain(*args: object, code: int = 0) -> str:
    """Standard output, or standard error where it should fail."""
    done = CliRunner().invoke(app, list(map(str, args)), env={"COLUMNS": "140"})
    assert done.exit_code == code, done.output
    return done.stderr if code else done.stdout


@pytest.mark.slow
def test_train_and_export_from_the_command_line(table: Path, folder: Path):
    run, small = (
        folder / "typed",
        [part for name, value in SMALL.items() for part in ("--set", f"{name}={value}")],
    )
    told = json.loads(
        entrain(
            "train",
            table,
            "-o",
            run,
            "--variant",
            "partner",
            "--epochs",
            1,
            "--teacher",
            "1,0.5,2",
            *small,
            "--json",
        )
    )
    assert told["settings"]["teacher_end"] == 0.5
    assert told["settings"]["changes"] == {"hidden": 16, "word_hidden": 8}
    assert told["judged"]["loss"] > 0
    exported = json.loads(entrain("export", run, folder / "model.onnx", "--json"))
    assert exported["difference"] < 1e-5
    other = Trained.load(run)
    other.model.key.bias.data += 0.01
    assert parity(other, folder / "model.onnx") > 1e-4, "another network is noticed"


def test_help_lists_the_variants_and_the_defaults():
    told = " ".join(entrain("train", "model", "--help").replace("│", " ").split())
    for name, what in PRESETS.items():
        assert f"{name}: {what.split()[0]}" in told
    settings = Training()
    for default in (
        settings.epochs,
        settings.batch_size,
        settings.learning_rate,
        settings.seed,
        settings.nodes,
    ):
        assert f"({default})" in told


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["train", "model"], "there is no table to train on"),
        (["train", "nowhere"], "there is no nowhere"),
        (["train", "nowhere", "--batch-size", "0"], "should be greater than or equal to 1"),
        (["train", "nowhere", "--set", "depth=2"], "there is no setting 'depth'. Select from"),
        (["train", "nowhere", "--set", "depth"], "give NAME=VALUE"),
        (["train", "nowhere", "--teacher", "1,2"], "give one probability, or START,END,EPOCHS"),
        (["train", "--resume", "nowhere"], "settings.json can't be read"),
        (["train", "--resume", "nowhere", "--epochs", "3"], "with --resume don't give epochs"),
        (["export", "nowhere", "model.onnx"], "can't be read"),
    ],
    ids=lambda value: " ".join(value)[:30] if isinstance(value, list) else "",
)  # fmt: skip
def test_what_a_user_can_mend_is_a_sentence_and_exit_code_2(args: list[str], says: str):
    message = " ".join(entrain(*args, code=2).replace("│", " ").split())
    assert says in message
    assert "Traceback" not in message


def test_a_stopped_command_tells_how_to_go_on(table: Path, folder: Path):
    run = folder / "stopped"
    long = ["--epochs", 200, "--set", "patience=200", "--set", "free_every=0", "--variant", "base"]
    with interrupted(run, 2):
        told = entrain("train", table, "-o", run, *long, code=130)
    assert f"entrain train --resume {run}" in " ".join(told.split())


@pytest.mark.slow
def test_two_processes_train_one_model(table: Path, folder: Path):
    run = folder / "two"
    how = [
        "--strategy",
        "ddp",
        "--accelerator",
        "cpu",
        "--devices",
        "2",
        "--epochs",
        "3",
        "--set",
        "free_every=0",
    ]
    command = [
        sys.executable,
        "-m",
        "entrain",
        "train",
        str(table),
        "-o",
        str(run),
        "--variant",
        "base",
        *how,
        "--json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)  # by one of them
    assert [row["epoch"] for row in history(run)] == [1, 2, 3]
    assert history(run)[2]["dev_loss"] < history(run)[0]["dev_loss"]
    assert Trained.load(run).card["judged"] == told["judged"]

"""A model on disk: back to the bit, refused when damaged, never a pickle; and the same figures from ONNX."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from batches import LABELS, WORD_DIM, batch_of, model_of, no_onnx, single_precision
from hypothesis import given, settings
from hypothesis import strategies as st

from entrain.model import MEL_BANDS, VARIANTS, Batch, Now, State, Turns
from entrain.turn import FEATURES
from entrain.weights import FORMAT, INPUTS, OUTPUTS, Trained, WeightsError, export_onnx, silent
from entrain.words import Words

ROOT = Path(__file__).parents[1]
variants = pytest.mark.parametrize("variant", VARIANTS)


def trained(variant: str = "words-lookahead", **changes: object) -> Trained:
    model = model_of(variant, **changes).float()
    model.calibration.copy_(torch.linspace(0.5, 2, 7))
    learnt: dict[str, Any] = dict.fromkeys(FEATURES, "simulated") | {"rate_syll_s": "real", "nhr": "no"}
    usual = (0.9, 1.1, 1.0, 0.8, 1.2, 1.0, 1.3)
    return Trained(model, learnt, usual, {"corpora": ["AMI"]}, tuple((u / 2, u, 2 * u) for u in usual))


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained().save(tmp_path_factory.mktemp("weights") / "new" / "model")


@pytest.fixture
def damaged(saved: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    for file in saved.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def in_another_process(code: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "ignore", "-c", code]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)


# --- to disk and back -------------------------------------------------------------------------------------------------


@variants
def test_a_model_comes_back_to_the_bit(variant: str, tmp_path: Path) -> None:
    first = trained(variant)
    again = Trained.load(first.save(tmp_path))
    assert (again.learnt, again.usual, again.card) == (first.learnt, first.usual, first.card)
    assert again.scales == first.scales
    assert again.model.config == first.model.config
    assert not again.model.training
    before, after = first.model.state_dict(), again.model.state_dict()
    assert list(before) == list(after)
    assert all(torch.equal(before[name], after[name]) for name in before)
    batch = single_precision(batch_of(6, 4))
    assert torch.equal(first.model(batch).location, again.model(batch).location)


def test_two_files_and_no_other_stay(saved: Path) -> None:
    assert sorted(file.name for file in saved.iterdir()) == ["config.json", "model.safetensors"]
    record = json.loads((saved / "config.json").read_text())
    assert record["format"] == FORMAT
    assert record["model"]["features"] == list(FEATURES)


def test_saving_again_replaces_the_model(damaged: Path) -> None:
    other = trained("dual")
    assert Trained.load(other.save(damaged)).model.config == other.model.config


# --- damage -----------------------------------------------------------------------------------------------------------


def refused(folder: Path, told: str) -> None:
    """As an error that names the file."""
    with pytest.raises(WeightsError, match=told) as caught:
        Trained.load(folder)
    assert str(folder) in str(caught.value)


@given(data=st.data())
@settings(max_examples=20, deadline=None)
def test_weights_cut_or_changed_anywhere_are_refused(saved: Path, data: st.DataObject) -> None:
    whole = (saved / "model.safetensors").read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    changed = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
    folder = saved.parent / "damaged"
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_bytes((saved / "config.json").read_bytes())
    for content in (whole[:place], changed):
        (folder / "model.safetensors").write_bytes(content)
        refused(folder, "model.safetensors is truncated or was altered.*Copy both files again")


@given(share=st.floats(0, 0.99))
@settings(max_examples=20, deadline=None)
def test_a_config_cut_anywhere_is_refused(saved: Path, share: float) -> None:
    folder = saved.parent / "cut"
    folder.mkdir(exist_ok=True)
    whole = (saved / "config.json").read_bytes()
    (folder / "config.json").write_bytes(whole[: int(share * len(whole))])
    (folder / "model.safetensors").write_bytes((saved / "model.safetensors").read_bytes())
    refused(folder, "config.json is not the config of an entrain model")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_missing_file_is_named(name: str, damaged: Path) -> None:
    (damaged / name).unlink()
    refused(damaged, f"{name} can't be read.*Give a folder that `entrain train` has written")


CHANGES: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "newer schema": (
        lambda r: r.update(schema="entrain-2"),
        "schema 'entrain-2'.*reads 'entrain-1'.*Upgrade entrain",
    ),
    "newer format": (
        lambda r: r.update(format=FORMAT + 1),
        f"format {FORMAT + 1}.*up to {FORMAT}.*Upgrade entrain",
    ),
    "no format": (lambda r: r.pop("format"), "not the config of an entrain model"),
    "format no number": (lambda r: r.update(format="1"), "format '1'"),
    "another size": (lambda r: r["model"].update(hidden=13), "does not describe the weights beside it"),
    "another variant": (lambda r: r["model"].update(attention="dual"), "does not describe the weights"),
    "a knob unknown": (lambda r: r["model"].update(heads=8), "does not describe the weights"),
    "no model": (lambda r: r.pop("model"), "does not describe the weights"),
    "model no record": (lambda r: r.update(model=[1]), "does not describe the weights"),
    "features in another order": (lambda r: r["model"]["features"].reverse(), "must be of f0_mean_st, "),
    "a feature not told of": (lambda r: r["learnt"].pop("nhr"), "must be of .*nhr"),
    "a feature of another name": (
        lambda r: r["learnt"].update(pitch=r["learnt"].pop("nhr")),
        "must be of .*nhr",
    ),
    "learnt from nowhere": (lambda r: r["learnt"].update(nhr="dreams"), "'real', 'simulated' or 'no'"),
    "learnt no record": (lambda r: r.update(learnt=None), "does not describe the weights"),
    "usual too few": (lambda r: r["usual"].pop(), "must be of"),
    "usual no numbers": (lambda r: r.update(usual=["a"] * 7), "does not describe the weights"),
    "scales too few": (lambda r: r["scales"].pop(), "must be of"),
    "scales of nothing": (lambda r: r["scales"][0].append(0.0), "greater than 0"),
    "usual of nothing": (lambda r: r.update(usual=[0.0] * 7), "greater than 0"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_config_that_does_not_fit_is_refused(change: str, damaged: Path) -> None:
    record = json.loads((damaged / "config.json").read_text())
    CHANGES[change][0](record)
    (damaged / "config.json").write_text(json.dumps(record))
    refused(damaged, CHANGES[change][1])


@pytest.mark.parametrize("content", [b"[]", b"null", b"7", b'"config"', b"\xff\xfe", b"{}", b""])
def test_a_config_that_is_something_else_is_refused(content: bytes, damaged: Path) -> None:
    (damaged / "config.json").write_bytes(content)
    refused(damaged, "config.json is not the config of an entrain model")


FULL = """
import resource, signal, sys
sys.path.insert(0, "tests")
from test_weights import trained
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
first = trained("dual", hidden=64)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    first.save(sys.argv[1])
except Exception as error:
    print(type(error).__name__, error)
"""


def test_a_full_disk_is_told_and_leaves_the_old_model(damaged: Path) -> None:
    """Here: no file may be longer than 20 kB."""
    command = [sys.executable, "-W", "ignore", "-c", FULL, str(damaged)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=True)
    assert "WeightsError the model can't be written to" in done.stdout
    assert "Make room or give another folder" in done.stdout
    assert Trained.load(damaged).model.config == trained().model.config
    assert len(list(damaged.iterdir())) == 2


def test_a_folder_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WeightsError, match=r"can't be written to .*file"):
        trained().save(tmp_path / "file" / "model")


# --- no pickle --------------------------------------------------------------------------------------------------------

WATCHED = """
import pickle, sys
import torch
from entrain.weights import Trained, silent
from entrain.words import Words
opened = []
def watch(event, args):
    if event == "pickle.find_class":
        opened.append(args)
def refuse(*args, **kwargs):
    opened.append(args)
    raise RuntimeError("a pickle")
torch.load = pickle.load = pickle.loads = refuse
sys.addaudithook(watch)
model = Trained.load({folder!r}).model
Words.load().encode("the words of the reply")
model.observe(model.start(), silent(model), model.foresee(model.start(), silent(model)))
print("pickles:", opened)
"""


def test_no_pickle_is_opened_on_the_way_to_a_prediction(saved: Path) -> None:
    done = in_another_process(WATCHED.format(folder=str(saved)))
    assert done.stdout == "pickles: []\n", done.stderr


def test_a_pickle_in_place_of_the_weights_is_refused_unopened(damaged: Path) -> None:
    class Harmful:
        def __reduce__(self) -> Any:
            return (os.mkdir, (str(damaged / "harm"),))

    import hashlib
    import pickle

    content = pickle.dumps(Harmful())
    (damaged / "model.safetensors").write_bytes(content)
    record = json.loads((damaged / "config.json").read_text())
    (damaged / "config.json").write_text(json.dumps(record | {"sha256": hashlib.sha256(content).hexdigest()}))
    refused(damaged, "does not describe the weights beside it")
    assert not (damaged / "harm").exists()


def test_entrain_is_imported_without_torch() -> None:
    done = in_another_process("import sys, entrain; print({'torch', 'gensim', 'onnx'} & set(sys.modules))")
    assert done.stdout == "set()\n", done.stderr


# --- words ------------------------------------------------------------------------------------------------------------


def test_the_words_it_was_trained_with_are_asked_for() -> None:
    words = Words.load()
    right = trained(vocabulary=words.id, word_dim=words.dim)
    right.check_words(words)
    with pytest.raises(WeightsError, match=rf"word vectors 'other', not '{words.id}'.*--vectors"):
        trained(vocabulary="other").check_words(words)
    with pytest.raises(WeightsError, match="tokeniser 'entrain-words-0'"):
        trained(vocabulary=words.id, tokeniser="entrain-words-0").check_words(words)
    trained("base", vocabulary="other").check_words(words)  # it reads none


def test_vectors_of_another_size_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "glove-6b-50d.txt"
    path.write_text("the 1 2 3\nof 4 5 6\n")
    words = Words.load()
    with pytest.raises(WeightsError, match="its words would mean nothing"):
        trained(vocabulary=words.id, word_dim=words.dim).check_words(Words.load(path))


# --- ONNX -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=[*VARIANTS, "emotion"])
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Trained, Any]:
    """A model of each variant, and one that reads emotions, with the session of its graph."""
    if missing := no_onnx():
        pytest.skip(missing)
    import onnxruntime

    model = trained("base", emotion=LABELS) if request.param == "emotion" else trained(request.param)
    path = export_onnx(model, tmp_path_factory.mktemp("onnx") / "new" / "model.onnx")
    return model, onnxruntime.InferenceSession(str(path))


def given_to(session: Any, state: tuple[Any, ...], now: Now) -> dict[str, Any]:
    """What the graph asks for. No text is one row of anything."""
    feed: dict[str, Any] = dict(zip(INPUTS, [*state, *now], strict=True))
    for name, width in (("words", WORD_DIM), ("mel", MEL_BANDS)):
        if not len(feed[name]):
            feed[name] = torch.full((1, width), 9.0)
    return {i.name: np.asarray(feed[i.name]) for i in session.get_inputs()}


def conversation(n_turns: int, n_words: list[int], seed: int) -> Batch:
    """One, at random, whose first turns have so many words, and twice as many Mel vectors."""
    batch = single_precision(batch_of(n_turns, seed=seed))
    for place, n in enumerate(n_words):
        batch.n_words[0, place], batch.n_mel[0, place] = n, 2 * n
    torch.manual_seed(seed)
    batch.words = torch.randn(int(batch.n_words.sum()), WORD_DIM)
    batch.mel = torch.randn(int(batch.n_mel.sum()), MEL_BANDS)
    return batch


@pytest.mark.slow
def test_onnx_gives_the_same_figures_turn_by_turn(exported: tuple[Trained, Any]) -> None:
    """Each with the state of its own last turn; texts of 0, 1 and 40 words among them."""
    model, session = exported[0].model, exported[1]
    for seed in range(12):
        batch = conversation(30 if seed else 200, [0, 1, 40, 0][seed % 4 :], seed)
        turns, state = Turns(batch, batch.real if seed % 2 else batch.us), model.start()
        theirs: tuple[Any, ...] = tuple(part.numpy() for part in state)
        for t in range(batch.real.shape[1]):
            now = turns.at(t)
            with torch.inference_mode():
                foreseen = model.foresee(state, now)
                state = model.observe(state, now, foreseen)
            found = dict(
                zip(OUTPUTS, session.run(list(OUTPUTS), given_to(session, theirs, now)), strict=True)
            )
            theirs = tuple(found[f"next_{name}"] for name in State._fields)
            ours = {name: getattr(foreseen, name) for name in ("location", "scale", "over_turns")}
            ours |= {f"next_{name}": part for name, part in zip(State._fields, state, strict=True)}
            if now.n_words > 0:
                ours["over_words"] = foreseen.over_words
            for name, value in ours.items():
                np.testing.assert_allclose(found[name], value, rtol=0, atol=1e-5, err_msg=f"{name}, turn {t}")


@pytest.mark.slow
def test_the_graph_asks_for_nothing_that_it_does_not_read(exported: tuple[Trained, Any]) -> None:
    """But for the whole state, which goes in as it came out."""
    config, session = exported[0].model.config, exported[1]
    unread = set() if config.words else {"words", "n_words", "shape"}
    unread |= set() if config.mel else {"mel", "n_mel"}
    unread |= set() if config.emotion else {"emotion"}
    assert {i.name for i in session.get_inputs()} == set(INPUTS) - unread
    assert [o.name for o in session.get_outputs()] == list(OUTPUTS)


@pytest.mark.slow
def test_the_graph_says_what_it_is_of(exported: tuple[Trained, Any]) -> None:
    config, told = exported[0].model.config, exported[1].get_modelmeta().custom_metadata_map
    assert told["features"] == ",".join(FEATURES)
    assert type(config).model_validate_json(told["config"]) == config
    assert (told["schema"], told["tokeniser"]) == (config.profile, config.tokeniser)


def test_silence_is_a_turn_of_which_nothing_is_known() -> None:
    model = model_of("mel")
    now = silent(model, 3)
    assert [len(part) for part in now] == [1, 1, 1, 1, 1, 1, 3, 1, 3, 1, 1]
    assert not any(
        part.any() for name, part in now._asdict().items() if name not in ("n_words", "n_mel", "on")
    )

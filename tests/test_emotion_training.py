"""Training and evaluation of emotion: readers, folds, traps, models of every kind, and the commands."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from emotion_model import LABELS, SPEAKERS_HZ, voice
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from entrain.cli import app
from entrain.emotion import load_emotion
from entrain.functionals import NAMES
from entrain_training.clips import LeftOut
from entrain_training.emotion.corpora import READERS, Item, items
from entrain_training.emotion.evaluate import of_models
from entrain_training.emotion.folds import Split, splits
from entrain_training.emotion.judged import Judged, accuracy, confusion, judge, recall
from entrain_training.emotion.measured import Measured, measure, twins
from entrain_training.emotion.network import Ear, varied
from entrain_training.emotion.online import heard, prior
from entrain_training.emotion.study import EmotionStudy
from entrain_training.emotion.svm import calibrate, machine_of
from entrain_training.emotion.train import train
from entrain_training.emotion.wav2vec2 import one_after_the_other, pauses, swapped
from entrain_training.schedule import TrainingError

SMALL = {"seed": 0, "c": (1.0,), "gamma": (1.0,), "prior_count": (1.0,), "inner_folds": 2, "orders": 1}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four made voices, three emotions, twice: wav files of 1.2 s and emotion.csv."""
    folder = tmp_path_factory.mktemp("corpus")
    lines = ["path,emotion,speaker,sentence"]
    for hz in SPEAKERS_HZ:
        for emotion in LABELS:
            for nth in range(2):
                name = f"{hz:.0f}-{emotion}-{nth}.wav"
                voice(emotion, hz, nth).write(folder / name)
                lines.append(f"{name},{emotion},{hz:.0f},{nth}")
    (folder / "emotion.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="module")
def made(corpus: Path) -> Measured:
    left_out = LeftOut()
    found = measure(items([corpus / "emotion.csv"], left_out), corpus / "cache", left_out)
    assert not left_out.told()
    return found


def fake(
    speakers: list[str], sentences: list[str] | None = None, sha256: list[str] | None = None
) -> Measured:
    """Recordings of which only who speaks, and what, matters."""
    said = sentences or [""] * len(speakers)
    found = tuple(
        Item(Path(f"{i}.wav"), "ab"[i % 2], s, t) for i, (s, t) in enumerate(zip(speakers, said, strict=True))
    )
    n = len(speakers)
    return Measured(found, np.zeros((n, 2)), np.ones((n, 2), bool), tuple(sha256 or map(str, range(n))))


# --- readers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("corpus", "stem", "told"),
    [
        ("ravdess", "03-01-05-02-01-02-07", ("angry", "07", "01")),
        ("ravdess", "03-02-05-02-01-02-07", None),  # a song
        ("emodb", "03a01Wa", ("angry", "03", "a01")),
        ("emodb", "happy_16b10Fd", ("happy", "16", "b10")),
        ("crema-d", "1001_DFA_ANG_XX", ("angry", "1001", "DFA")),
        ("crema-d", "1091_IEO_SAD_HI", ("sad", "1091", "IEO")),
        ("emovo", "rab-f1-b1", ("angry", "f1", "b1")),
        ("emovo", "gio-m2-n3", ("happy", "m2", "n3")),
        ("nemo", "ZTM005_anger_86", ("angry", "ZTM005", "86")),
        ("urdu", "SM1_F10_A010", ("angry", "SM1", "")),
    ],
)  # fmt: skip
def test_each_corpus_is_read_by_its_own_names_and_by_no_other(
    corpus: str, stem: str, told: tuple[str, str, str] | None
) -> None:
    assert READERS[corpus](stem) == told
    others = [name for name, reader in READERS.items() if name != corpus and reader(stem)]
    assert not others


def test_the_recordings_at_hand(data: Path) -> None:
    left_out = LeftOut()
    found = items([data / "emotion" / "ravdess_actors_01_16", data / "emotion" / "emodb4"], left_out)
    assert len(found) == 960 + 339
    assert not left_out.told()
    of_emodb = [item for item in found if item.speaker.startswith("emodb")]
    assert all(item.path.name.startswith(item.emotion) for item in of_emodb)  # told twice, the same
    assert len({item.speaker for item in of_emodb}) == 10
    assert len({item.speaker for item in found}) == 26


def test_the_byte_identical_pair_of_ravdess_is_found(data: Path, tmp_path: Path) -> None:
    folder, left_out = data / "emotion" / "ravdess_actors_01_16", LeftOut()
    happy = [item for item in items([folder], left_out) if item.path.match("03-01-03-01-02-0?-07.flac")]
    assert [(a.name, b.name) for a, b in twins(measure(happy, tmp_path, left_out))] == [
        ("03-01-03-01-02-01-07.flac", "03-01-03-01-02-02-07.flac")
    ]


def test_twins_never_sit_on_two_sides() -> None:
    twin = fake(["x/1", "x/1", "x/2", "x/2"], sha256=["a", "b", "b", "c"])
    left_out = LeftOut()
    first, second = splits("leave-one-speaker-out", twin, left_out)
    assert (first.train.tolist(), second.train.tolist()) == ([3], [0])
    assert "the same recording is tested there" in left_out.told()[0]


def test_csv_names_what_it_cannot_use(tmp_path: Path) -> None:
    voice("calm").write(tmp_path / "a.wav")
    voice("sad").write(tmp_path / "stray.wav")
    (tmp_path / "t.csv").write_text("path,emotion,speaker\na.wav,calm,1\nnone.wav,sad,2\na.wav,,3\n")
    left_out = LeftOut()
    assert [item.speaker for item in items([tmp_path / "t.csv"], left_out)] == ["t/1"]
    assert sorted(left_out.reasons.values()) == [
        "beside the CSV, but not in it", "in the CSV, but there is no such file", "no emotion in the CSV",
    ]  # fmt: skip
    (tmp_path / "t.csv").write_text("file,label\na.wav,calm\n")
    with pytest.raises(TrainingError, match="no column 'path'"):
        items([tmp_path / "t.csv"], left_out)


def test_bad_files_are_named_and_counted(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "03a01Wa.wav", voice("calm").samples, 16_000)
    (tmp_path / "03a02Wa.wav").write_bytes(b"")
    (tmp_path / "03a04Wa.wav").write_text("no sound")
    voice("calm").part(0, 0.1).write(tmp_path / "03a05Wa.wav")
    soundfile.write(tmp_path / "03a07Wa.wav", np.zeros(16_000), 16_000)
    soundfile.write(tmp_path / "hello.wav", np.zeros(16_000), 16_000)
    left_out = LeftOut()
    found = measure(items([tmp_path], left_out), tmp_path / "cache", left_out)
    assert [item.path.name for item in found.items] == ["03a01Wa.wav"]
    assert {Path(path).name: why for path, why in left_out.reasons.items()} == {
        "03a02Wa.wav": "empty", "03a04Wa.wav": "not readable as audio", "03a05Wa.wav": "shorter than 0.3 s",
        "03a07Wa.wav": "no speech in it", "hello.wav": "its name tells no emotion",
    }  # fmt: skip
    with pytest.raises(TrainingError, match="all 1 recordings are angry"):
        found.labels()


def test_stereo_and_other_rates_measure_the_same(tmp_path: Path) -> None:
    mono = voice("calm")
    at_44 = mono.resample(44_100).samples
    soundfile.write(tmp_path / "03a01Wa.wav", mono.samples, 16_000)
    soundfile.write(tmp_path / "03a02Wa.wav", np.stack([at_44, at_44], 1), 44_100)
    found = measure(items([tmp_path], LeftOut()), tmp_path / "cache", LeftOut())
    pitch, level = (found.values[:, NAMES.index(name)] for name in ("f0_st.p50", "level_db"))
    assert pitch[1] == pytest.approx(pitch[0], abs=0.05)
    assert level[1] == pytest.approx(level[0], abs=0.1)


def test_nothing_is_measured_twice(corpus: Path, made: Measured, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    again = measure(made.items, corpus / "cache", LeftOut(), said.append)
    assert not said
    assert (again.values == made.values).all()


# --- folds ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "n", "sizes"), [("ravdess-six-by-four", 6, [4] * 6), ("ravdess-five", 5, [5] * 4 + [4])]
)
def test_the_published_folds_test_each_actor_once(name: str, n: int, sizes: list[int]) -> None:
    actors = [f"ravdess/{i:02d}" for i in range(1, 25)]
    all_24 = fake(actors)
    found = splits(name, all_24, LeftOut())
    assert len(found) == n
    assert [len(split.test) for split in found] == sizes
    assert sorted(np.concatenate([split.test for split in found]).tolist()) == list(range(24))


def test_folds_without_anybody_at_hand_are_listed() -> None:
    left_out = LeftOut()
    found = splits("ravdess-six-by-four", fake([f"ravdess/{i:02d}" for i in range(1, 17)]), left_out)
    assert [split.name for split in found] == ["1", "2", "3", "4"]
    assert left_out.told() == ["2 left out, nobody of it is at hand (the first is fold 5)"]


@settings(max_examples=40)
@given(
    who=st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("xyz")), min_size=4, max_size=30),
    apart=st.booleans(),
)
def test_no_speaker_and_by_option_no_sentence_is_on_both_sides(
    who: list[tuple[str, str]], apart: bool
) -> None:
    measured = fake([speaker for speaker, _ in who], [sentence for _, sentence in who])
    try:
        found = splits("leave-one-speaker-out", measured, LeftOut(), sentences_apart=apart)
    except TrainingError:
        return
    for split in found:
        assert not _both(split, [item.speaker for item in measured.items])
        if apart:
            assert not _both(split, [item.sentence for item in measured.items])


def _both(split: Split, of: list[str]) -> set[str]:
    return {of[i] for i in split.train} & {of[i] for i in split.test}


def test_a_random_split_must_be_asked_for_and_mixes_speakers() -> None:
    measured = fake(["x/1"] * 10 + ["x/2"] * 10)
    found = splits("random", measured, LeftOut())
    assert sorted(np.concatenate([split.test for split in found]).tolist()) == list(range(20))
    assert any(_both(split, [item.speaker for item in measured.items]) for split in found)


def test_folds_that_make_no_sense_say_so(tmp_path: Path) -> None:
    path = tmp_path / "folds.json"
    measured = fake(["x/1", "x/2"])
    for content, told in (
        ({"name": "n"}, "must have folds"),
        ({"name": "n", "folds": [{"name": "1", "test": ["x/1"], "train": ["x/1", "x/2"]}]}, "on both sides"),
        ({"name": "n", "folds": [{"name": "1", "test": ["y/1"]}]}, "none of the folds"),
        ({"name": "n", "fold": []}, "no file of folds"),
    ):
        path.write_text(json.dumps(content))
        with pytest.raises(TrainingError, match=told):
            splits(str(path), measured, LeftOut())
    with pytest.raises(TrainingError, match="Give a file, or one of ravdess-six-by-four"):
        splits("ravdess-seven", measured, LeftOut())


# --- support vectors ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_the_decision_is_that_of_scikit_learn(n_classes: int) -> None:
    from sklearn.svm import SVC

    rng = np.random.default_rng(n_classes)
    y = rng.integers(0, n_classes, 150)
    z, unseen = rng.standard_normal((150, 12)) + 0.4 * y[:, None], rng.standard_normal((40, 12))
    machine, classes = machine_of(z, y, 2.0, 0.05)
    svc = SVC(C=2.0, gamma=0.05, class_weight="balanced", decision_function_shape="ovo").fit(z, y)
    theirs = svc.decision_function(unseen).reshape(len(unseen), -1)
    assert np.abs(machine.decision(unseen) - theirs).max() < 1e-6
    assert classes.tolist() == list(range(n_classes))
    if n_classes == 2:
        assert (machine.scores(unseen).argmax(1) == svc.predict(unseen)).all()


def test_calibration_is_unsure_of_what_is_noise_and_sure_of_what_is_not() -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 600)
    for strength, least, most in ((0.0, 0.0, 0.45), (8.0, 0.9, 1.0)):
        scores = strength * np.eye(3)[y] + rng.standard_normal((600, 3))
        temperature, bias = calibrate(scores, y)
        raised = np.exp(temperature * scores + bias)
        sure = (raised / raised.sum(1, keepdims=True)).max(1).mean()
        assert least < sure < most


def test_training_and_live_use_hear_the_same(made: Measured, tmp_path: Path) -> None:
    """z of a whole order at once, as in training, and turn by turn, as live."""
    model = load_emotion(train(made, tmp_path, EmotionStudy(**SMALL)))
    theirs = np.flatnonzero(made.speakers == made.speakers[0])
    z, rows = heard(
        model.prior,
        made.values[theirs],
        made.valid[theirs],
        made.speakers[theirs],
        "online",
        1,
        np.random.default_rng(3),
    )
    manner = None
    for one, row in zip(z, rows, strict=True):
        felt = model.judge((made.values[theirs[row]], made.valid[theirs[row]]), manner)
        manner = felt.manner
        assert list(felt.probabilities.values()) == pytest.approx(model.machine.probabilities(one[None])[0])
    assert model.measures == NAMES


def test_the_prior_is_of_speakers_not_of_turns() -> None:
    values = np.array([[0.0], [0.0], [0.0], [0.0], [8.0]])
    found = prior(values, np.ones((5, 1), bool), np.array(["a"] * 4 + ["b"]), "online", 1.0, 4.0)
    assert found.mean.tolist() == [4.0]


# --- judging --------------------------------------------------------------------------------------------------------


def test_recall_accuracy_and_confusion_of_what_is_known() -> None:
    true = np.array(["a"] * 8 + ["b"] * 2)
    found = np.array(["a"] * 9 + ["b"])
    judged = Judged(
        ("a", "b"),
        true,
        found,
        np.array(["x", "y"] * 5),
        np.arange(10),
        np.full(10, 0.5),
        np.arange(10).astype(str),
    )
    assert accuracy(judged).value == pytest.approx(0.9)
    assert recall(judged).value == pytest.approx(0.75)
    assert confusion(judged).tolist() == [[1, 0], [0.5, 0.5]]


def test_the_manner_knows_only_the_turns_so_far(made: Measured, tmp_path: Path) -> None:
    """What comes later changes nothing of what was judged before; the first of a speaker is judged by the prior alone."""
    model = load_emotion(train(made, tmp_path, EmotionStudy(**SMALL)))
    judged = judge(model, made, orders=2)
    assert len(judged.true) == 2 * len(made)
    first = judged.where(judged.before == 0)
    assert len(first.true) == 2 * len(SPEAKERS_HZ)
    for path, label, likelihood in zip(first.recordings, first.true, first.likelihood, strict=True):
        i = [str(item.path) for item in made.items].index(path)
        alone = model.judge((made.values[i], made.valid[i]), None).probabilities
        assert alone[label] == pytest.approx(likelihood)


# --- the network from scratch ---------------------------------------------------------------------------------------


def test_padding_changes_nothing_and_any_length_goes() -> None:
    import torch

    torch.manual_seed(0)
    ear = Ear(3, width=8).eval()
    for layer in ear.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean.normal_()
    for n in (4, 12, 40):  # of other lengths the last frame is averaged with what is beyond the end
        alone = torch.randn(1, n, 64)
        padded, there = torch.zeros(1, 64, 64), torch.zeros(1, 64)
        padded[:, :n], there[:, :n] = alone, 1
        assert torch.allclose(ear(alone), ear(padded, there), atol=1e-5), n
    assert torch.isfinite(ear(torch.randn(1, 1, 64))).all()


def test_variation_is_another_every_time_and_never_longer_than_asked() -> None:
    mel = np.random.default_rng(0).standard_normal((50, 64)).astype(np.float32)
    before = mel.copy()
    first, second = (varied(mel, 30, np.random.default_rng(i)) for i in (1, 2))
    assert first.shape[1] == 64
    assert len(first) <= 30
    assert not np.array_equal(first, second)
    assert np.array_equal(mel, before)
    assert len(varied(mel[:1], 30, np.random.default_rng(1))) == 1


def test_network_and_mean_are_trained_saved_resumed_and_used(made: Measured, tmp_path: Path) -> None:
    settings_ = EmotionStudy(**SMALL | {"model": "mean", "epochs": 1, "width": 4, "batch_size": 8})
    out = train(made, tmp_path / "mean", settings_)
    before = (out / "network" / "model.onnx").stat().st_mtime_ns
    train(made, out, settings_, resume=True)
    assert (out / "network" / "model.onnx").stat().st_mtime_ns == before
    mean, network = load_emotion(out), load_emotion(out / "network")
    felt, manner = mean.feel(voice("sad")), network.feel(voice("sad")).manner
    assert felt.probabilities is not None
    assert sum(felt.probabilities.values()) == pytest.approx(1)
    assert felt.manner is not None
    assert manner is not None
    assert felt.manner.mean[-64:] == manner.mean
    with pytest.raises(TrainingError, match="epochs was 1, is 2"):
        train(made, out, settings_.model_copy(update={"epochs": 2}), resume=True)


# --- wav2vec 2.0 ----------------------------------------------------------------------------------------------------


def speech_with_pauses() -> np.ndarray:
    sound = np.random.default_rng(0).standard_normal(32_000).astype(np.float32) * 0.1
    sound[9_000:13_000] *= 1e-3
    sound[22_000:26_000] *= 1e-3
    return sound


def test_stretches_between_pauses_change_places() -> None:
    sound = speech_with_pauses()
    assert pauses(sound) == pytest.approx([11_000, 24_000], abs=300)
    made = [swapped(sound, np.random.default_rng(seed)) for seed in range(6)]
    assert any(not np.array_equal(m, sound) for m in made)
    assert all(np.array_equal(np.sort(m), np.sort(sound)) for m in made)
    whole = sound[:8_000]
    assert np.array_equal(swapped(whole, np.random.default_rng(0)), whole)


def test_mixup_by_concatenation_shares_the_label_by_length() -> None:
    a, b = np.full(3_000, 0.5, np.float32), np.full(1_000, 0.01, np.float32)
    both, share = one_after_the_other(a, b)
    assert share == 0.75
    assert len(both) == 4_000
    assert both[-1] == pytest.approx(0.5)  # at one level


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wav2vec 2.0 of some thousand random weights."""
    import torch

    pytest.importorskip("transformers", reason="pip install 'entrain[wav2vec]'")
    from entrain.emotion_wav2vec2 import without

    with without("torchaudio"):
        from transformers.models.wav2vec2 import Wav2Vec2Config, Wav2Vec2Model
    folder = tmp_path_factory.mktemp("tiny")
    torch.manual_seed(0)
    Wav2Vec2Model(Wav2Vec2Config(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16, conv_dim=(8, 8, 8), conv_stride=(5, 8, 8),
        conv_kernel=(10, 8, 8), num_feat_extract_layers=3, num_conv_pos_embeddings=8, num_conv_pos_embedding_groups=2,
        feat_extract_norm="layer", mask_time_prob=0.0,
    )).save_pretrained(folder)  # fmt: skip
    return folder


@pytest.mark.parametrize("pooling", ["mean", "attention"])
def test_wav2vec2_from_end_to_end(made: Measured, tiny: Path, tmp_path: Path, pooling: str) -> None:
    import torch
    from safetensors.torch import load_file

    given = SMALL | {
        "model": "wav2vec2",
        "checkpoint": str(tiny),
        "epochs": 1,
        "pooling": pooling,
        "mixup": 0.5,
        "swap": 0.5,
        "warm_up": 1,
    }
    model = load_emotion(train(made, tmp_path / "run", EmotionStudy(**given, frozen_layers=1)))
    felt = model.feel(voice("sad").resample(44_100))
    assert felt.manner is None
    assert sum((felt.probabilities or {}).values()) == pytest.approx(1)
    assert model.feel(voice("sad").gain(-12)).probabilities == pytest.approx(
        model.feel(voice("sad")).probabilities, abs=1e-3
    )
    before, after = (
        load_file(folder / "model.safetensors") for folder in (tiny, tmp_path / "run" / "checkpoint")
    )
    same = {name for name in before if torch.equal(before[name], after[name])}
    assert {name for name in before if name.startswith(("feature_extractor", "encoder.layers.0"))} <= same
    assert (
        not {name for name in before if name.startswith("encoder.layers.1") and name.endswith("weight")}
        & same
    )


def test_a_turn_in_a_batch_is_judged_as_alone(tiny: Path) -> None:
    import torch

    from entrain.emotion_wav2vec2 import Tuned, load_encoder

    torch.manual_seed(0)
    network = Tuned(load_encoder(str(tiny)), 3, "attention").eval()
    long, short = torch.randn(1, 16_000), torch.randn(1, 9_000)
    both = torch.zeros(2, 16_000)
    both[:1], both[1:, :9_000] = long, short
    together = network(both, torch.tensor([16_000, 9_000]))
    assert torch.allclose(together[0], network(long, torch.tensor([16_000]))[0], atol=1e-5)
    assert torch.allclose(together[1], network(short, torch.tensor([9_000]))[0], atol=1e-5)


def test_a_checkpoint_that_is_not_there_says_so(made: Measured, tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason="pip install 'entrain[wav2vec]'")
    given = SMALL | {"model": "wav2vec2", "checkpoint": str(tmp_path / "nothing")}
    with pytest.raises(RuntimeError, match="Give a folder that has one"):
        train(made, tmp_path / "run", EmotionStudy(**given))


# --- commands -------------------------------------------------------------------------------------------------------


def entrain(*words: str | Path) -> str:
    found = CliRunner().invoke(app, [str(word) for word in words])
    assert found.exit_code == 0, found.output
    return found.stdout


def test_train_then_evaluate(corpus: Path, made: Measured, tmp_path: Path) -> None:
    quick = [
        w
        for name, value in (("c", "[1]"), ("gamma", "[1]"), ("prior_count", "[1]"), ("inner_folds", "2"))
        for w in ("--set", f"{name}={value}")
    ]
    shutil.copy(corpus / "cache" / "functionals.npz", tmp_path)
    out = tmp_path / "model"
    table = corpus / "emotion.csv"
    told = json.loads(
        entrain("train", "emotion", table, "-o", out, "--cache", tmp_path, "--seed", "0", "--json", *quick)
    )
    assert told["labels"] == list(LABELS)
    entrain("train", "emotion", "--resume", out, "--cache", tmp_path)
    again = CliRunner().invoke(
        app, ["train", "emotion", str(table), "-o", str(out), "--cache", str(tmp_path)]
    )
    assert again.exit_code == 2
    page = tmp_path / "page"
    results = entrain(
        "evaluate",
        "emotion",
        table,
        "--folds",
        "leave-one-speaker-out",
        "--cache",
        tmp_path,
        "-o",
        page,
        *quick,
    )
    assert "unweighted recall" in results
    assert (page / "results.html").exists()
    number = json.loads((page / "results.json").read_text())["sections"][0]["data"]["rows"]["svm, online"][
        "recall"
    ]["value"]
    assert number > 0.6  # of three emotions that can be told apart
    heard_before = CliRunner().invoke(
        app, ["evaluate", "emotion", str(table), "--run", str(out), "--cache", str(tmp_path), "-o", str(page)]
    )
    assert heard_before.exit_code == 2


def test_a_trained_model_is_tested_on_strangers_only(made: Measured, tmp_path: Path) -> None:
    known = made.part(np.flatnonzero(made.speakers != made.speakers[0]))
    out = train(known, tmp_path / "model", EmotionStudy(**SMALL))
    left_out = LeftOut()
    section = of_models(made, [out], left_out, orders=2, seed=0, say=lambda _: None)
    assert section.grids[0].rows[0][-2:] == ("6", "1")  # recordings and speakers
    assert "18 left out, its speaker was heard in the training" in left_out.told()[0]
    assert "most often confused" in section.figures[0].alt


def test_what_is_asked_wrongly_is_a_sentence(corpus: Path, made: Measured, tmp_path: Path) -> None:
    table = str(corpus / "emotion.csv")
    for words, told in (
        (["train", "emotion", table, "--model", "forest"], "Select one of svm, network, wav2vec2, mean"),
        (["train", "emotion"], "no recordings"),
        (["train", "emotion", table, "--set", "hiden=3"], "there is no setting 'hiden'"),
        (["train", "emotion", table, "--normalise", "whole"], "must be online or none"),
        (["evaluate", "emotion", table], "give either --folds"),
    ):
        found = CliRunner().invoke(app, [*words, "-o", str(tmp_path), "--cache", str(corpus / "cache")])
        assert found.exit_code == 2, words
        assert told in " ".join(found.stderr.split()), words

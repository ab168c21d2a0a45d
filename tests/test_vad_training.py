"""Detectors of speech that a user trains: labels, scenes, crops, the five networks, and the commands from training to the page."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import noise, silence, syllables
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from entrain.audio import Audio
from entrain.vad import NetworkVAD, VADError, load_vad

torch = pytest.importorskip("torch", reason="pip install 'entrain[train]'")
for package in ("lightning", "onnx", "sklearn", "pyroomacoustics", "pedalboard", "onnxruntime"):
    pytest.importorskip(package, reason="pip install 'entrain[train,ears]'")

from entrain_training.clips import LeftOut  # noqa: E402
from entrain_training.schedule import TrainingError  # noqa: E402
from entrain_training.vad import labels, meetings, mixes, networks, published, rivals, task, voices  # noqa: E402
from entrain_training.vad.export import begin_from, write  # noqa: E402
from entrain_training.vad.measures import Heard, delays, measure  # noqa: E402

RATE_HZ = 16_000
CAUSAL = [name for name in networks.NETWORKS if name != "blstm"]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


# --- labels ---------------------------------------------------------------------------------------------------------


def test_clean_speech_is_labelled_where_it_sounds() -> None:
    sound = np.concatenate((silence(0.5).samples, syllables(4, 1.0).samples, silence(0.7).samples))
    sound += noise(2.2, amplitude=1e-4).samples
    found = labels.runs(labels.spoken(sound))
    assert found.tolist() == [[pytest.approx(50, abs=4), pytest.approx(150, abs=4)]]


@pytest.mark.parametrize("gain", [1e-3, 1.0])
def test_labels_do_not_depend_on_gain(gain: float) -> None:
    sound = np.concatenate((silence(0.5).samples, syllables(4, 1.0).samples))
    assert (labels.spoken(sound * np.float32(gain)) == labels.spoken(sound)).all()


def test_short_pauses_are_filled_and_clicks_dropped_but_edges_are_left() -> None:
    told = np.zeros(200, bool)
    told[10:50] = told[80:100] = told[155:158] = True
    assert labels.runs(labels.tidy(told)).tolist() == [[10, 100]]


@given(st.lists(st.booleans(), max_size=60))
def test_runs_are_all_there_is(told: list[bool]) -> None:
    again = np.zeros(len(told), bool)
    for start, end in labels.runs(np.array(told, bool)):
        assert end > start
        again[start:end] = True
    assert again.tolist() == told


def test_the_area_is_that_of_scikit_learn() -> None:
    from sklearn.metrics import roc_auc_score

    score, label = rng().integers(0, 9, 300).astype(np.float32), rng(1).random(300) < 0.3
    assert labels.auc(score, label) == pytest.approx(roc_auc_score(label, score))
    assert np.isnan(labels.auc(score, np.ones(300, bool)))


def test_an_rttm_that_is_none_is_named(tmp_path: Path) -> None:
    path = tmp_path / "m.rttm"
    path.write_text("SPEAKER m 1 0.50 1.25 <NA> <NA> anna <NA> <NA>\nSPKR-INFO m 1\n")
    assert labels.rttm(path) == {"m": [(0.5, 1.75, "anna")]}
    path.write_text("SPEAKER m 1 soon 1.25 <NA> <NA> anna <NA> <NA>")
    with pytest.raises(TrainingError, match=r"m\.rttm can't be read as RTTM"):
        labels.rttm(path)


# --- networks -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, NetworkVAD]:
    """Untrained, but for what batch normalisation has seen."""
    found = {}
    for name in networks.NETWORKS:
        torch.manual_seed(1)
        detector = networks.Detector(name)
        detector(detector.framed(torch.randn(4, 16_000) * 0.1))
        folder = tmp_path_factory.mktemp(name)
        write(detector, folder)
        found[name] = load_vad(f"net:{folder}") if name != "blstm" else NetworkVAD.load(folder)
    return found


@pytest.mark.parametrize("name", CAUSAL)
@settings(max_examples=8, deadline=None)
@given(cuts=st.lists(st.integers(0, 2_000), max_size=12))
def test_what_streams_in_any_chunks_is_what_torch_says_of_the_whole(
    name: str, cuts: list[int], exported: dict[str, NetworkVAD]
) -> None:
    samples = syllables(4, 1.2).samples + noise(1.2, amplitude=0.01).samples
    stream, pieces, at = exported[name].stream(), [], 0
    for n in [*cuts, len(samples)]:
        pieces.append(stream.feed(samples[at : at + n]))
        at += n
    detector = networks.Detector(name)
    begin_from(detector, Path(exported[name].session._model_path).parent)
    with torch.no_grad():
        logits, _ = detector.eval()(detector.framed(torch.from_numpy(samples)[None]))
    assert np.concatenate(pieces) == pytest.approx(torch.sigmoid(logits)[0].numpy(), abs=1e-5)
    assert exported[name].whole(samples) == pytest.approx(np.concatenate(pieces), abs=1e-5)


@pytest.mark.parametrize("name", CAUSAL)
def test_nothing_causal_hears_what_comes_later(name: str, exported: dict[str, NetworkVAD]) -> None:
    sound = noise(1.0).samples
    other = sound.copy()
    other[8_000:] = 0
    first, second = (exported[name].whole(samples) for samples in (sound, other))
    assert first[:50] == pytest.approx(second[:50], abs=1e-6)
    assert np.abs(first[50:] - second[50:]).max() > 1e-4


def test_the_one_that_looks_ahead_says_so(exported: dict[str, NetworkVAD]) -> None:
    with pytest.raises(VADError, match=r"'blstm' hears whole recordings only.*NetworkVAD\.whole"):
        exported["blstm"].stream()
    sound, other = noise(1.0).samples, noise(1.0).samples.copy()
    other[8_000:] = 0
    first, second = (exported["blstm"].whole(samples) for samples in (sound, other))
    assert first.shape == (100,)
    assert np.abs(first[:50] - second[:50]).max() > 1e-4


def test_weights_of_another_network_are_refused(tmp_path: Path, exported: dict[str, NetworkVAD]) -> None:
    other = Path(exported["cdnn"].session._model_path).parent
    for folder in (other, tmp_path):
        with pytest.raises(TrainingError, match="holds no trained lstm to go on from"):
            begin_from(networks.Detector("lstm"), folder)


def test_the_front_end_is_the_power_of_a_fourier_transform() -> None:
    frames = torch.randn(6, networks.WINDOW)
    window = np.hanning(networks.WINDOW + 1)[:-1]
    power = np.abs(np.fft.rfft(frames.numpy() * window)) ** 2
    by_hand = np.log(power @ networks.triangles() + networks.FLOOR)
    assert networks.LogMel()(frames).numpy() == pytest.approx(by_hand, abs=1e-3)


def test_every_weight_of_every_network_learns() -> None:
    for name in networks.NETWORKS:
        detector = networks.Detector(name)
        logits, _ = detector(detector.framed(torch.randn(2, 8_000) * 0.1))
        assert logits.shape == (2, 50)
        logits.square().mean().backward()
        assert all(w.grad is not None and w.grad.abs().sum() > 0 for w in detector.parameters()), name


def test_what_learns_as_a_product_is_the_convolution_that_is_exported() -> None:
    along, values = networks.Along(networks.N_BANDS), torch.randn(50, networks.N_BANDS)
    with torch.no_grad():
        learning = along(values)
        assert along.eval()(values) == pytest.approx(learning.numpy(), abs=1e-5)


def test_an_unknown_network_is_named_with_the_choice() -> None:
    with pytest.raises(TrainingError, match="Select one of lstm, blstm, lstm2, cdnn, cdnn-raw"):
        networks.Detector("gru")


# --- what it learns from ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clean "speech" of thirty talkers, noise of thirty recordings, and three meetings in which two share a talker."""
    root, draw = tmp_path_factory.mktemp("data"), rng()
    for kind in ("speech", "noise", "meetings"):
        (root / kind).mkdir()
    for i in range(30):
        talk = syllables(draw.uniform(3, 5), 0.8, hz=draw.uniform(90, 250)).samples
        padded = np.concatenate((np.zeros(3_000, np.float32), talk, np.zeros(3_000, np.float32)))
        Audio(padded, RATE_HZ).write(root / "speech" / f"{i:08x}_nohash_0.wav")
        noise(2.0, amplitude=0.01 * (i + 1)).write(root / "noise" / f"rain_{1 + i % 4}-{i}-A.wav")
    lines = []
    for name, who in (("a", "anna"), ("b", "anna"), ("c", "carl")):
        room = noise(4.0, amplitude=1e-3).samples.copy()
        room[16_000:32_000] += syllables(4, 1.0).samples
        Audio(room, RATE_HZ).write(root / "meetings" / f"{name}.wav")
        lines.append(f"SPEAKER {name} 1 1.0 1.0 <NA> <NA> {who} <NA> <NA>")
    lines.append("SPEAKER nowhere 1 1.0 1.0 <NA> <NA> dora <NA> <NA>")
    noise(1.0).write(root / "meetings" / "unmarked.wav")
    (root / "meetings" / "all.rttm").write_text("\n".join(lines))
    for i in range(20):  # so many that each part has some
        (root / "speech" / f"broken{i}.wav").write_bytes(b"not audio")
    return root


@pytest.fixture(scope="module")
def scenes(folders: Path) -> mixes.Mixes:
    left_out = LeftOut()
    said = voices.voices([folders / "speech"], "train", left_out)
    assert [why for why in left_out.told() if "not readable" in why]
    return mixes.Mixes(said, voices.noises(folders / "noise", "train", left_out), [np.eye(1, 800, dtype=np.float32)[0]])  # fmt: skip


@pytest.mark.parametrize(
    ("name", "who"),
    [
        ("03-01-08-02-02-02-16", "16"),
        ("sad_16b10Td", "16"),
        ("0_george_14", "george"),
        ("00176480_nohash_0", "00176480"),
        ("work_short_male_en-US-Wavenet-J", "male_en-US-Wavenet-J"),
        ("0386da81-9db7-499c-b4f8-910beec53c23", None),
    ],
)
def test_speakers_are_known_by_their_corpus_names(name: str, who: str | None) -> None:
    assert voices.speaker(Path("folder") / f"{name}.flac") == (f"folder/{who}" if who else None)


def test_noise_of_one_recording_is_in_one_part() -> None:
    parts = {voices.noise_part(Path(f"rain_{fold}-77-{take}.flac")) for fold in (1, 2) for take in "ABC"}
    assert len(parts) == 1
    assert voices.noise_part(Path("rain_4-12-A.flac")) == "test"


def test_a_scene_is_labelled_from_its_clean_side(scenes: mixes.Mixes) -> None:
    example = scenes.scene(600, rng(4), None, silent=False)
    level_db = 10 * np.log10(np.mean(example.samples.reshape(-1, 160) ** 2, axis=1) + 1e-12)
    assert labels.auc(level_db.astype(np.float32), example.labels) > 0.9
    assert example.counts.all()


def test_noise_alone_has_no_label_and_levels_are_as_asked(scenes: mixes.Mixes) -> None:
    drawn = [scenes.scene(100, rng(seed), 0.0, silent=True) for seed in range(20)]
    assert not any(e.labels.any() for e in drawn)
    peaks_db = [20 * np.log10(np.abs(e.samples).max()) for e in drawn]
    assert all(-40.1 <= db <= -0.9 for db in peaks_db)
    assert np.ptp(peaks_db) > 10


def test_scenes_are_new_each_time_and_a_seed_repeats_them(scenes: mixes.Mixes) -> None:
    draw = rng(3)
    first, second, again = scenes.draw(50, draw), scenes.draw(50, draw), scenes.draw(50, rng(3))
    assert not np.allclose(first.samples, second.samples)
    assert again.samples == pytest.approx(first.samples)


def test_meetings_are_named_counted_and_grouped_by_who_speaks(folders: Path) -> None:
    left_out = LeftOut()
    found = meetings.read_meetings(folders / "meetings", left_out)
    assert [m.name for m in found] == ["a", "b", "c"]
    assert found[0].labels.mean() == pytest.approx(0.25)
    assert sorted(sorted(m.name for m in group) for group in meetings.groups(found)) == [["a", "b"], ["c"]]
    told = " ".join(left_out.told())
    assert "labels without a recording" in told
    assert "a recording without labels" in told


def test_no_rttm_is_an_error_with_a_way_out(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"holds no \.rttm"):
        meetings.read_meetings(tmp_path, LeftOut())


@given(n=st.integers(1, 600), seed=st.integers(0, 99))
@settings(deadline=None, max_examples=30)
def test_crops_of_any_length_lie_in_the_recording_and_padding_does_not_count(n: int, seed: int) -> None:
    sound = np.arange(400 * 160, dtype=np.float32)
    meeting = meetings.Meeting("m", sound, np.arange(400) % 2 == 1, frozenset("m"))
    example = meetings.Crops([meeting]).draw(n, rng(seed))
    assert example.samples.shape == (n * 160,)
    assert example.counts.sum() == min(n, 400)
    start = round(float(example.samples[0])) // 160
    assert (example.labels[example.counts] == meeting.labels[start : start + min(n, 400)]).all()
    assert not example.labels[~example.counts].any()


def test_padding_changes_no_loss_and_a_rare_class_weighs_as_much() -> None:
    logits, speech = torch.randn(2, 50), (torch.rand(2, 50) < 0.2).float()
    counts = torch.ones(2, 50, dtype=torch.bool)
    alone = task.balanced(logits, speech, counts)
    padded = [torch.nn.functional.pad(t, (0, 30)) for t in (logits + 0, speech, counts)]
    padded[0][:, 50:] = 1e3
    assert task.balanced(*padded) == pytest.approx(float(alone), rel=1e-5)
    all_right, sign = torch.full((1, 100), -2.0), torch.zeros(1, 100)
    sign[0, :20] = 1  # a fifth, all missed: as bad as the other four fifths all false
    whole = torch.ones(1, 100, dtype=torch.bool)
    assert task.balanced(all_right, sign, whole) == pytest.approx(
        float(task.balanced(-all_right, sign, whole)), rel=1e-5
    )


def test_noise_alone_stays_below_one_half_and_the_order_stays(scenes: mixes.Mixes) -> None:
    torch.manual_seed(0)
    network = networks.Detector("cdnn").eval()
    sound = torch.from_numpy(scenes.scene(300, rng(), 10.0).samples)[None]
    before = network(network.framed(sound))[0].detach()
    network.out.bias.data += 5
    task.quieten(network, scenes.noise, 0.1)
    after = network(network.framed(sound))[0].detach()
    assert (after - before).std() < 1e-5
    heard = [network(network.framed(torch.from_numpy(noise)[None]))[0].flatten() for noise in scenes.noise]
    assert float((torch.cat(heard) > 0).float().mean()) == pytest.approx(0.1, abs=0.01)


# --- measures --------------------------------------------------------------------------------------------------------


def test_delays_are_from_the_edges_of_speech_until_they_are_known() -> None:
    there, said = np.zeros(300, bool), np.zeros(300, bool)
    there[100:200], said[110:204] = True, True
    starts, ends = delays(said, there, 0.01)
    assert (starts, ends) == ([pytest.approx(0.1)], [pytest.approx(0.04)])
    late, _ = delays(said, there, 0.032)
    assert late == [pytest.approx(0.122)]


def test_measures_of_one_class_have_no_area_and_no_nan() -> None:
    found = measure([Heard(np.full(50, 0.7, np.float32), np.zeros(50, bool))] * 2, 0.01)
    assert (found.auc, found.miss) == (None, None)
    assert found.false_alarm is not None
    assert found.false_alarm.value == 1.0
    assert "NaN" not in found.model_dump_json()


def test_the_interval_holds_the_area() -> None:
    heard = []
    for seed in range(6):
        there = rng(seed).random(400) < 0.5
        heard.append(Heard((there + rng(seed + 50).normal(0, 1, 400)).astype(np.float32), there))
    found = measure(heard, 0.01).auc
    assert found is not None
    assert found.low is not None
    assert found.low < found.value < (found.high or 0)
    assert found.value == pytest.approx(0.76, abs=0.02)  # Φ(1 / √2)


def test_rivals_say_ten_milliseconds_each(data: Path) -> None:
    sound = Audio.read(data / "vad" / "ami" / "trn05.flac").samples[:80_000]
    found, left_out = rivals.rivals()
    assert {listener.name for listener in found} >= {"silero", "webrtc", "energy"}
    assert len(found) + len(left_out) == 4
    for listener in found:
        assert 480 <= len(listener.hear("x", sound)) <= 500


def test_a_meeting_of_people_who_were_heard_in_training_is_no_test(folders: Path, tmp_path: Path) -> None:
    found = meetings.read_meetings(folders / "meetings", LeftOut())
    (tmp_path / "settings.json").write_text(json.dumps({"about": {"meeting_names": ["a"]}}))
    kept, why = rivals.unheard(found, [tmp_path])
    assert [m.name for m in kept] == ["c"]
    assert why == [f"a, b: {tmp_path.name} learnt from people in them"]


# --- commands --------------------------------------------------------------------------------------------------------


def test_train_resume_and_evaluate(folders: Path, tmp_path: Path) -> None:
    from entrain.cli import app

    run, given = tmp_path / "run", []
    for name in ("speech", "noise", "meetings"):
        given += [f"--{name}", str(folders / name)]
    small = ["--epochs", "1", "--batch-size", "4", "--set", "steps=12", "--set", "dev_scenes=1", "--seconds", "5", "--seed", "1"]  # fmt: skip
    done = CliRunner().invoke(app, ["train", "vad", *given, *small, "-o", str(run), "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["network"], told["parameters"]) == ("cdnn", 221_297)
    assert any("not readable" in line for line in told["left_out"])
    assert any("labels without a recording" in line for line in told["left_out"])
    assert len(load_vad(f"net:{run}").stream().feed(noise(1.0).samples)) == 100
    again = CliRunner().invoke(app, ["train", "vad", "--resume", str(run)])
    assert again.exit_code == 0, again.output
    assert "epoch 1 of 1" in again.stdout
    other = CliRunner().invoke(app, ["train", "vad", "--resume", str(run), "--network", "lstm"])
    assert other.exit_code == 2
    out = tmp_path / "results"
    judged = CliRunner().invoke(
        app, ["evaluate", "vad", str(run), *given, "--scenes", "1", "--out", str(out)]
    )
    assert judged.exit_code == 0, judged.output
    assert "learnt from people in them" in judged.stdout
    for row in ("| run |", "| silero |", "| energy |"):
        assert row in judged.stdout
    assert (out / "results.html").exists()
    assert "NaN" not in (out / "results.json").read_text()


def test_nothing_to_learn_from_is_said(tmp_path: Path) -> None:
    from entrain.cli import app

    done = CliRunner().invoke(app, ["train", "vad", "-o", str(tmp_path / "run")])
    assert done.exit_code == 2
    assert "Give --data DIR" in " ".join(done.output.split())


def test_the_published_table_is_made_and_goes_on(scenes: mixes.Mixes, tmp_path: Path) -> None:
    scale = published.Scale(networks=("cdnn",), lengths_s=(3,), seeds=2, scenes=1, test_scenes=1, steps=1)
    said: list[str] = []
    found = published.train_all(scenes, scenes, tmp_path, scale, said.append)
    assert len(found["cdnn", 3]) == 2
    assert said == ["cdnn, 3 s, seed 0", "cdnn, 3 s, seed 1"]
    model = tmp_path / "1-scenes-1-steps" / "cdnn-3s-0" / "model.onnx"
    before = model.stat().st_mtime_ns
    assert published.train_all(scenes, scenes, tmp_path, scale, said.append) == found
    assert model.stat().st_mtime_ns == before
    assert published.grid(found, scale).rows[0][2] == "84.5"

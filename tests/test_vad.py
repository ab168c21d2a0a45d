"""Voice activity: each detector streams as it hears whole, forgets on reset, and hears speech where it is."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import noise, silence
from hypothesis import given, settings
from hypothesis import strategies as st

from entrain.audio import Audio
from entrain.tts import TTS
from entrain.vad import VAD, NetworkVAD, VADError, load_vad

onnxruntime = pytest.importorskip("onnxruntime", reason="pip install 'entrain[ears]'")
pytest.importorskip("webrtcvad", reason="pip install 'entrain[ears]'")
NAMES = ("silero", "webrtc", "energy")


@pytest.fixture(scope="module")
def vads(tmp_path_factory: pytest.TempPathFactory) -> dict[str, VAD]:
    return {name: load_vad(name) for name in NAMES} | {
        "net": load_vad(f"net:{small_network(tmp_path_factory.mktemp('net'))}")
    }


@pytest.fixture(scope="module")
def spoken(hibari: TTS) -> Audio:
    """A second of quiet room, a sentence, a second of quiet room; 16 kHz."""
    speech = hibari.synthesise("The museum opens at nine in the morning.").audio.resample(16_000)
    room = noise(speech.duration_s + 2, amplitude=1e-3).samples.copy()
    room[16_000 : 16_000 + len(speech.samples)] += speech.samples
    return Audio(room, 16_000)


def small_network(folder: Path) -> Path:
    """The mean power of each 160-sample frame and the 40 before it, smoothed by a state: p = s' = .5 s + .5 mean(x²)."""
    onnx = pytest.importorskip("onnx", reason="pip install 'entrain[onnx]'")
    make, kind = onnx.helper, onnx.TensorProto.FLOAT
    nodes = [
        make.make_node("Mul", ["samples", "samples"], ["square"]),
        make.make_node("ReduceMean", ["square"], ["power"], axes=[1], keepdims=0),
        make.make_node("ReduceSum", ["power"], ["all"], keepdims=1),
        make.make_node("Add", ["level", "all"], ["level_after"]),
        make.make_node("Mul", ["power", "scale"], ["probability"]),
    ]
    graph = make.make_graph(
        nodes,
        "power",
        [
            make.make_tensor_value_info("samples", kind, ["k", 200]),
            make.make_tensor_value_info("level", kind, [1]),
        ],
        [
            make.make_tensor_value_info("probability", kind, ["k"]),
            make.make_tensor_value_info("level_after", kind, [1]),
        ],
        [make.make_tensor("scale", kind, [1], [10.0])],
    )
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 11)], ir_version=8)
    onnx.save(model, folder / "model.onnx")
    config = {"name": "power", "frame_samples": 160, "context_samples": 40, "states": {"level": [1]}}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize("name", [*NAMES, "net"])
@settings(max_examples=15, deadline=None)
@given(cuts=st.lists(st.integers(0, 3_000), max_size=30))
def test_streaming_equals_whole_for_any_cutting(
    name: str, cuts: list[int], vads: dict[str, VAD], spoken: Audio
) -> None:
    samples = spoken.samples[8_000:40_000]
    whole, stream, pieces, at = vads[name].stream().feed(samples), vads[name].stream(), [], 0
    for n in [*cuts, len(samples)]:
        pieces.append(stream.feed(samples[at : at + n]))
        at += n
    got = np.concatenate(pieces)
    assert got.shape == whole.shape == (int(len(samples) / 16_000 / stream.step_s + 1e-9),)
    assert got.dtype == np.float32
    assert got == pytest.approx(whole, abs=1e-5)


@pytest.mark.parametrize("name", [*NAMES, "net"])
def test_streams_share_nothing_and_reset_forgets(name: str, vads: dict[str, VAD], spoken: Audio) -> None:
    samples, loud = spoken.samples[:48_000], noise(3.0, amplitude=0.3).samples
    alone = vads[name].stream().feed(samples)
    one, other, mixed = vads[name].stream(), vads[name].stream(), []
    for start in range(0, len(samples), 4_000):
        mixed.append(one.feed(samples[start : start + 4_000]))
        other.feed(loud[start : start + 4_000])
    assert np.concatenate(mixed) == pytest.approx(alone, abs=1e-5)
    other.reset()
    assert other.feed(samples) == pytest.approx(alone, abs=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_speech_is_heard_where_it_is(name: str, vads: dict[str, VAD], spoken: Audio) -> None:
    stream = vads[name].stream()
    heard = stream.feed(spoken.samples) > 0.5
    speech = slice(int(1.1 / stream.step_s), int((spoken.duration_s - 1.1) / stream.step_s))
    assert heard[speech].mean() > 0.6
    assert (
        heard[int(0.2 / stream.step_s) : int(0.9 / stream.step_s)].mean() < 0.1
    )  # WebRTC's takes .1 s to start
    assert heard[-int(0.5 / stream.step_s) :].mean() < 0.1


@pytest.mark.parametrize("name", NAMES)
def test_silence_and_nothing_hold_no_speech(name: str, vads: dict[str, VAD]) -> None:
    stream = vads[name].stream()
    assert stream.feed(np.zeros(0, np.float32)).shape == (0,)
    assert (stream.feed(silence(2).samples) < 0.2).all()


@pytest.mark.parametrize("name", [*NAMES, "net"])
def test_nan_is_named_once_and_left_out(
    name: str, vads: dict[str, VAD], spoken: Audio, caplog: pytest.LogCaptureFixture
) -> None:
    broken, clean = spoken.samples.copy(), spoken.samples.copy()
    broken[[20_000, 40_000]], clean[[20_000, 40_000]] = [np.nan, np.inf], 0
    stream = vads[name].stream()
    with caplog.at_level(logging.WARNING, "entrain.vad"):
        heard = np.concatenate([stream.feed(part) for part in np.array_split(broken, 7)])
    assert heard == pytest.approx(vads[name].stream().feed(clean), abs=1e-5)
    assert [record.getMessage() for record in caplog.records] == [
        "1 samples are NaN or infinite: taken as silence."
    ]


def test_two_channels_are_refused() -> None:
    with pytest.raises(VADError, match=r"shape \(2, 100\); one channel"):
        load_vad("energy").stream().feed(np.zeros((2, 100), np.float32))


def test_a_network_gets_its_context_and_its_state(vads: dict[str, VAD]) -> None:
    """The little network's output is the mean square over 200 samples, its state the sum of them all: by hand."""
    samples = noise(0.05).samples  # 800 samples: 5 frames
    stream = vads["net"].stream()
    shown = np.concatenate((np.zeros(40, np.float32), samples))
    by_hand = [np.mean(shown[i : i + 200] ** 2) for i in range(0, 800, 160)]
    assert stream.feed(samples) == pytest.approx(10 * np.array(by_hand), rel=1e-4)
    assert stream.states["level"] == pytest.approx(sum(by_hand), rel=1e-4)


def test_a_network_that_looks_ahead_hears_whole_recordings_only(tmp_path: Path, spoken: Audio) -> None:
    streams = NetworkVAD.load(small_network(tmp_path))
    assert streams.whole(spoken.samples) == pytest.approx(streams.stream().feed(spoken.samples))
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"streams": False}))
    ahead = NetworkVAD.load(tmp_path)
    assert ahead.whole(spoken.samples) == pytest.approx(streams.whole(spoken.samples))
    with pytest.raises(VADError, match=r"'power' hears whole recordings only.*train one that streams"):
        ahead.stream()


def test_silero_says_what_its_own_package_says(vads: dict[str, VAD], spoken: Audio) -> None:
    """Against the file that Silero's package runs frame by frame."""
    from importlib.util import find_spec

    folder = Path(find_spec("silero_vad").submodule_search_locations[0])
    session = onnxruntime.InferenceSession(folder / "data/silero_vad.onnx")
    frames = spoken.samples[: len(spoken.samples) // 512 * 512].reshape(-1, 512)
    context, state, theirs = np.zeros((1, 64), np.float32), np.zeros((2, 1, 128), np.float32), []
    for frame in frames:
        shown = np.concatenate((context, frame[None]), axis=1)
        probability, state = session.run(None, {"input": shown, "state": state, "sr": np.array(16_000)})
        theirs.append(probability[0, 0])
        context = shown[:, -64:]
    assert vads["silero"].stream().feed(spoken.samples) == pytest.approx(np.array(theirs), abs=1e-5)


def test_the_energy_floor_follows_a_fan() -> None:
    """A noise that starts is speech at first; after some seconds it is the room."""
    stream = load_vad("energy").stream()
    stream.feed(noise(1.0, amplitude=1e-3).samples)
    heard = stream.feed(noise(20.0, amplitude=1e-2).samples)
    assert heard[:50].mean() > 0.9
    assert heard[-100:].mean() < 0.1


def test_loading_silero_does_not_load_torch() -> None:
    code = "import sys; from entrain.vad import load_vad; load_vad('silero'); sys.exit('torch' in sys.modules or 'silero_vad' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", ["", "nonesuch", "silero:8k", "net:"])
def test_an_unknown_detector_is_named_with_the_choice(name: str) -> None:
    with pytest.raises(VADError, match=r"Select one of silero, webrtc, energy, net:FOLDER"):
        load_vad(name)


def test_a_folder_that_is_no_detector_is_named(tmp_path: Path) -> None:
    with pytest.raises(VADError, match="holds no trained detector"):
        load_vad(f"net:{tmp_path}")
    small_network(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"states": {}}))
    with pytest.raises(VADError, match="takes samples, level and gives 2 outputs"):
        load_vad(f"net:{tmp_path}")
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "model.onnx").write_bytes(b"not a network")
    with pytest.raises(VADError, match="not a network that onnxruntime can run"):
        load_vad(f"net:{tmp_path}")

"""Coqui: a small FastSpeech2, trained here on espeak-ng's speech, must sound as its hooks are told.

It learns for a minute (340,000 weights, ten words), so it's no voice; but its output has a pitch that a
tracker follows, and what is measured is the waveform, never the predictor that the hook moves.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import parselmouth
import pytest

pytest.importorskip(
    "torch", reason="Coqui runs on torch; pip install coqui-tts torch torchaudio torchcodec six"
)
pytest.importorskip(
    "espeakng_loader", reason="espeak-ng is the speech to learn from; pip install espeakng-loader"
)
safetensors = pytest.importorskip("safetensors.torch", reason="pip install safetensors")

from entrain import tts_coqui  # noqa: E402
from entrain.audio import Audio  # noqa: E402
from entrain.tts import TTS, Knobs, TTSError, load_tts  # noqa: E402
from entrain.tts_coqui import Coqui  # noqa: E402
from entrain.tts_espeak import Espeak  # noqa: E402

try:
    tts_coqui._import_torchaudio()
    import torch
    from TTS.tts.configs.fastspeech2_config import Fastspeech2Config
    from TTS.tts.configs.shared_configs import CharactersConfig
    from TTS.tts.models.forward_tts import ForwardTTS
except (ImportError, TTSError) as error:
    pytest.skip(
        f"coqui-tts does not import ({error}); pip install {tts_coqui.INSTALL}", allow_module_level=True
    )

WORDS = (
    "mama",
    "none",
    "rule",
    "lily",
    "wire",
    "argue",
    "lemon",
    "memory",
    "animal",
    "your",
)  # voiced throughout
SENTENCES = ("mama none rule", "lily wire memory", "your lemon argue animal")
STEPS, BATCH = 600, 12  # 30 s on two free cores; 250 steps are too few for a pitch that can be tracked
GIVE_UP_S = 240


class Example(NamedTuple):
    ids: list[int]  # (X,) characters
    mel: np.ndarray  # (T, 80)
    f0_hz: np.ndarray  # (T,), 0 where unvoiced
    energy: np.ndarray  # (T,)
    frames: np.ndarray  # (X,) of each character, sum T


def tiny() -> Any:
    """An untrained FastSpeech2 with Coqui's own classes: 64 channels, two layers on each side."""
    config = Fastspeech2Config()
    audio: dict[str, Any] = {
        "sample_rate": 22_050,
        "num_mels": 80,
        "mel_fmin": 0,
        "mel_fmax": 4000,
        "signal_norm": False,
    }
    audio |= {
        "log_func": "np.log",
        "spec_gain": 1.0,
        "power": 1.0,
        "preemphasis": 0.0,
        "griffin_lim_iters": 40,
    }
    config.audio.update(audio | {"do_trim_silence": False})
    config.characters = CharactersConfig(
        characters_class="TTS.tts.utils.text.characters.Graphemes",
        characters="abcdefghijklmnopqrstuvwxyz",
        punctuations=" .,!?",
        pad="_",
        eos="",
        bos="",
        blank="",
    )
    layers = {"hidden_channels_ffn": 128, "num_heads": 2, "num_layers": 2, "dropout_p": 0.0}
    args: dict[str, Any] = {
        "use_aligner": False,
        "hidden_channels": 64,
        "encoder_params": layers,
        "decoder_params": layers,
    }
    args |= {f"{name}_predictor_hidden_channels": 64 for name in ("duration", "pitch", "energy")}
    config.model_args.update(args)
    return ForwardTTS(config)


def example(network: Any, voice: Espeak, rng: np.random.Generator) -> Example:
    """Three words at a random pitch, range, rate and level, aligned by espeak's own word times."""
    knobs = Knobs(rng.uniform(-6, 8), rng.uniform(0.5, 1.3), rng.uniform(0.7, 1.6), rng.uniform(-6, 4))
    said = voice.synthesise(" ".join(rng.choice(WORDS, 3)), knobs)
    hop_s = network.ap.hop_length / said.audio.rate_hz
    mel = network.ap.melspectrogram(said.audio.samples).T  # (T, 80)
    pitch = parselmouth.Sound(said.audio.samples.astype(float), said.audio.rate_hz).to_pitch_ac(
        time_step=hop_s, pitch_floor=100, pitch_ceiling=500
    )
    f0_hz = np.nan_to_num([pitch.get_value_at_time(i * hop_s) for i in range(len(mel))])
    power = np.square(np.exp(mel)).sum(1)  # of the mel bands: proportional to what Coqui sums over all bins
    edges = [0.0]
    for i, word in enumerate(said.words):  # characters share their word's time evenly; a space has the pause
        if i:
            edges.append((word.start_s or 0) / hop_s)
        end = len(mel) if i == len(said.words) - 1 else (word.end_s or 0) / hop_s
        edges.extend(np.linspace(edges[-1], end, len(word.text) + 1)[1:])
    frames = np.maximum(np.diff(np.round(edges)).astype(int), 1)
    frames[frames.argmax()] -= frames.sum() - len(mel)
    return Example(network.tokenizer.text_to_ids(said.text), mel, f0_hz, np.sqrt(power), frames)


def collate(examples: list[Example], f0: tts_coqui.Stats, energy: tts_coqui.Stats) -> dict[str, Any]:
    """A padded batch, as `ForwardTTS.forward` takes it."""

    def padded(rows: list[np.ndarray], dtype: Any) -> Any:
        return torch.nn.utils.rnn.pad_sequence([torch.as_tensor(row, dtype=dtype) for row in rows], True)

    pitch = [np.where(e.f0_hz > 0, (e.f0_hz - f0.mean) / f0.std, 0) for e in examples]
    return {
        "x": padded([np.array(e.ids) for e in examples], torch.long),  # (B, X)
        "x_lengths": torch.tensor([len(e.ids) for e in examples]),
        "y_lengths": torch.tensor([len(e.mel) for e in examples]),
        "y": padded([e.mel for e in examples], torch.float),  # (B, T, 80)
        "dr": padded([e.frames for e in examples], torch.long),  # (B, X)
        "pitch": padded(pitch, torch.float)[:, None],  # (B, 1, T)
        "energy": padded([(e.energy - energy.mean) / energy.std for e in examples], torch.float)[:, None],
    }


def loss_of(network: Any, batch: dict[str, Any]) -> Any:
    out = network(**batch)
    frames, characters = out["y_mask"].squeeze(1), out["x_mask"].squeeze(1)  # (B, T), (B, X)
    mel = ((out["model_outputs"] - batch["y"]).abs().mean(-1) * frames).sum() / frames.sum()
    misses = (out["durations_log"] - torch.log(batch["dr"] + 1.0)) ** 2  # (B, X)
    for name in ("pitch", "energy"):
        misses = misses + (out[f"{name}_avg"] - out[f"{name}_avg_gt"]).squeeze(1) ** 2
    return mel + 0.1 * (misses * characters).sum() / characters.sum()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trained network as config.json, model.safetensors and the two statistics, `stats.npy`."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    network, voice, started = tiny(), Espeak("en-us+f3"), time.monotonic()
    examples = [example(network, voice, rng) for _ in range(200)]
    voiced = np.concatenate([e.f0_hz[e.f0_hz > 0] for e in examples])
    energies = np.concatenate([e.energy for e in examples])
    f0, energy = (tts_coqui.Stats(float(v.mean()), float(v.std())) for v in (voiced, energies))
    optimiser = torch.optim.AdamW(network.parameters(), betas=(0.9, 0.98))
    network.train()
    for step in range(STEPS):
        if time.monotonic() - started > GIVE_UP_S:
            pytest.skip(f"this machine is too busy: {step} of {STEPS} training steps in {GIVE_UP_S} s")
        optimiser.param_groups[0]["lr"] = 2e-3 * min(1, step / 50) * (1 - step / STEPS)
        chosen = [examples[i] for i in rng.integers(len(examples), size=BATCH)]
        optimiser.zero_grad()
        loss_of(network, collate(chosen, f0, energy)).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
    folder = tmp_path_factory.mktemp("fastspeech2")
    network.config.save_json(str(folder / "config.json"))
    weights = {name: tensor.contiguous().clone() for name, tensor in network.state_dict().items()}
    safetensors.save_file(weights, folder / "model.safetensors")
    np.save(folder / "stats.npy", np.array([f0, energy]))
    return folder


@pytest.fixture(scope="module")
def voice(folder: Path) -> Coqui:
    f0, energy = np.load(folder / "stats.npy").tolist()
    return Coqui(folder, f0_hz=tuple(f0), energy=tuple(energy))


def contour(audio: Audio) -> np.ndarray:
    """Pitch of the waveform every 10 ms, semitones, NaN where there is none. Shape `(frames,)`."""
    sound = parselmouth.Sound(audio.samples.astype(float), audio.rate_hz)
    hz = sound.to_pitch_ac(time_step=0.01, pitch_floor=80, pitch_ceiling=500).selected_array["frequency"]
    return 12 * np.log2(np.where(hz > 0, hz, np.nan) / 100)


def change(voice: Coqui, knobs: Knobs) -> tuple[float, float, float]:
    """What `knobs` did to the waveform over `SENTENCES`: the rise of the median pitch (semitones; frame by frame
    when the length is the same), that of the level (dB), and the ratio of rates."""
    pairs = [(voice.synthesise(text).audio, voice.synthesise(text, knobs).audio) for text in SENTENCES]
    if knobs.rate_x == 1:
        rises = np.concatenate([contour(after) - contour(before) for before, after in pairs])
        assert np.isfinite(rises).mean() > 0.25, "the network has not learnt to speak with a pitch"
        rise_st = float(np.nanmedian(rises))
    else:
        rise_st = float(np.mean([np.nanmedian(contour(b)) - np.nanmedian(contour(a)) for a, b in pairs]))
    level_db = np.mean([(after.level_db or -99) - (before.level_db or -99) for before, after in pairs])
    rate_x = sum(before.duration_s for before, _ in pairs) / sum(after.duration_s for _, after in pairs)
    return rise_st, float(level_db), rate_x


@pytest.mark.parametrize("pitch_st", [-2, 2])
def test_pitch_hook_moves_the_pitch_of_the_waveform(voice: Coqui, pitch_st: float) -> None:
    rise_st, level_db, rate_x = change(voice, Knobs(pitch_st=pitch_st))
    assert rise_st == pytest.approx(pitch_st, abs=0.5)
    assert level_db == pytest.approx(0, abs=2)
    assert rate_x == 1


def test_range_hook_widens_and_narrows(voice: Coqui) -> None:
    def range_st(range_x: float) -> float:
        said = [contour(voice.synthesise(text, Knobs(range_x=range_x)).audio) for text in SENTENCES]
        return float(np.mean([np.ptp(np.nanpercentile(st, (10, 90))) for st in said]))

    assert range_st(1.5) > 1.2 * range_st(0.6)


@pytest.mark.parametrize("rate_x", [1 / 1.2, 1.2])
def test_rate_moves_the_duration(voice: Coqui, rate_x: float) -> None:
    rise_st, level_db, realised_x = change(voice, Knobs(rate_x=rate_x))
    assert realised_x == pytest.approx(rate_x, rel=0.06)  # a character is whole frames of 11.6 ms
    assert rise_st == pytest.approx(0, abs=0.5)
    assert level_db == pytest.approx(0, abs=1)


@pytest.mark.parametrize("level_db", [-4, 4])
def test_energy_hook_moves_the_level_of_the_waveform(voice: Coqui, level_db: float) -> None:
    rise_st, realised_db, rate_x = change(voice, Knobs(level_db=level_db))
    assert realised_db == pytest.approx(level_db, abs=1)
    assert rise_st == pytest.approx(0, abs=0.5)
    assert rate_x == 1


def test_renditions_repeat_and_leave_no_trace(voice: Coqui) -> None:
    before = voice.synthesise(SENTENCES[0]).audio.samples
    generator = np.random.get_state()[1].copy()  # noqa: NPY002
    knobs = [Knobs(2, 1.2, 1.2, 3), Knobs(-2), Knobs()]
    with ThreadPoolExecutor(2) as pool:
        said = list(pool.map(lambda it: voice.synthesise(SENTENCES[0], it).audio.samples, knobs))
    assert np.array_equal(before, said[2])
    assert not np.array_equal(before[:5000], said[1][:5000])
    assert np.array_equal(generator, np.random.get_state()[1])  # noqa: NPY002
    network = voice._network
    assert network.length_scale == 1
    for predictor in (network.pitch_predictor, network.energy_predictor, network.duration_predictor):
        assert not predictor._forward_hooks
        assert not predictor._forward_pre_hooks


def test_hooks_are_removed_when_the_network_fails(voice: Coqui, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(voice._network, "_forward_decoder", broken)
    with pytest.raises(TTSError, match="could not say 'mama': out of memory"):
        voice.synthesise("mama", Knobs(2, 1.2, 1.2, 3))
    assert not voice._network.pitch_predictor._forward_hooks
    assert voice._network.length_scale == 1


def test_the_contract_of_every_voice(voice: Coqui) -> None:
    assert isinstance(voice, TTS)
    assert [len(voice.synthesise(text).audio.samples) for text in ("", " \n", "🙂")] == [0, 0, 0]
    said = voice.synthesise(SENTENCES[0], Knobs(40, 9, 9, 60))
    assert said.applied == Knobs(4, 1.5, 1.5, 6)
    assert said.audio.rate_hz == voice.rate_hz == 22_050
    assert said.audio.samples.dtype == np.float32
    assert np.isfinite(said.audio.samples).all()


def test_without_statistics_pitch_is_left_for_the_waveform(folder: Path) -> None:
    voice = Coqui(folder)
    assert (voice.capability.pitch_st, voice.capability.range_x, voice.capability.level_db) == (None,) * 3
    applied = voice.synthesise("mama", Knobs(3, 1.5, 1.2, 3)).applied
    assert applied == Knobs(rate_x=1.2)


def test_one_character_and_characters_it_does_not_know(voice: Coqui) -> None:
    assert len(voice.synthesise("m").audio.samples)
    assert voice.synthesise("mama 日本語").audio.duration_s > 0.2


def test_torch_checkpoints_load_too(folder: Path, tmp_path: Path, voice: Coqui) -> None:
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    torch.save({"model": safetensors.load_file(folder / "model.safetensors")}, tmp_path / "model.pth")
    same = load_tts(f"coqui:{tmp_path}").synthesise(SENTENCES[0]).audio.samples
    assert np.array_equal(same, Coqui(folder).synthesise(SENTENCES[0]).audio.samples)


def test_what_is_not_a_voice_is_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(TTSError, match="which Coqui voice"):
        Coqui()
    with pytest.raises(TTSError, match=r"there is no .*config.json. Give a folder"):
        Coqui(tmp_path)
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    with pytest.raises(TTSError, match=r"no weights in .*model.safetensors"):
        Coqui(tmp_path)
    (tmp_path / "model.pth").write_bytes(b"not weights")
    with pytest.raises(TTSError, match=r"Do config.json and the weights match"):
        Coqui(tmp_path)
    with pytest.raises(TTSError, match=r"can't be loaded .*the name right"):
        Coqui("tts_models/xx/yy/zz")


def test_a_checkpoint_with_code_in_it_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    torch.save(
        {"model": Path("/tmp")}, tmp_path / "model.pth"
    )  # any class: unpickling would run its constructor
    with pytest.raises(TTSError, match=r"(?i)weights"):
        Coqui(tmp_path)

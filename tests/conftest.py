"""What several tests share: the real recordings, sounds whose truth is known, and the parts that are slow to start."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray

from entrain.audio import Audio
from entrain.tts import TTS, load_tts

if TYPE_CHECKING:
    from entrain.worker import Worker

DATA = Path(__file__).parents[2] / "shared" / "data"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: takes about ten seconds; leave out with -m 'not slow'")


def tone(hz: float = 150.0, seconds: float = 1.0, rate_hz: int = 16_000, amplitude: float = 0.1) -> Audio:
    """A sine."""
    return glide(hz, hz, seconds, rate_hz, amplitude)


def glide(
    from_hz: float, to_hz: float, seconds: float = 2.0, rate_hz: int = 16_000, amplitude: float = 0.1
) -> Audio:
    """A sine whose pitch moves evenly in semitones."""
    t = np.arange(round(seconds * rate_hz)) / rate_hz
    hz = from_hz * (to_hz / from_hz) ** (t / seconds)
    return Audio(amplitude * np.sin(2 * np.pi * np.cumsum(hz) / rate_hz), rate_hz)


def silence(seconds: float, rate_hz: int = 16_000) -> Audio:
    return Audio(np.zeros(round(seconds * rate_hz), np.float32), rate_hz)


def noise(seconds: float = 1.0, rate_hz: int = 16_000, amplitude: float = 0.1) -> Audio:
    samples = np.random.default_rng(0).standard_normal(round(seconds * rate_hz))
    return Audio(amplitude * samples, rate_hz)


def syllables(per_s: float, seconds: float = 5.0, hz: float = 140.0, rate_hz: int = 16_000) -> Audio:
    """A buzz that swells and fades `per_s` times a second."""
    t = np.arange(round(seconds * rate_hz)) / rate_hz
    swell = 0.02 + 0.98 * np.sin(np.pi * per_s * t) ** 2
    return Audio(0.1 * np.sign(np.sin(2 * np.pi * hz * t)) * swell, rate_hz)


def pulses(periods_s: NDArray[np.float64], heights: NDArray[np.float64], rate_hz: int = 48_000) -> Audio:
    """One pulse a period, each of its own height; both `(N,)`. No pulse has a DC part."""
    width_s = 0.0005
    at_s = np.cumsum(periods_s)
    t = np.arange(round((at_s[-1] + 0.05) * rate_hz)) / rate_hz
    samples = np.zeros(len(t))
    for centre_s, height in zip(at_s, heights, strict=True):
        near = slice(round((centre_s - 0.003) * rate_hz), round((centre_s + 0.003) * rate_hz))
        x = (t[near] - centre_s) / width_s
        samples[near] += height * (1 - x**2) * np.exp(-(x**2) / 2)
    return Audio(0.4 * samples, rate_hz)


def clipped(audio: Audio, gain_db: float = 18.0) -> Audio:
    """Turned up beyond full scale."""
    return Audio(np.clip(audio.gain(gain_db).samples, -1, 1), audio.rate_hz)


def joined(*parts: Audio) -> Audio:
    return Audio(np.concatenate([part.samples for part in parts]), parts[0].rate_hz)


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of public recordings beside the repository."""
    if not DATA.is_dir():
        pytest.skip(f"the recordings are not there: {DATA}")
    return DATA


@pytest.fixture(scope="session")
def reading(data: Path) -> Audio:
    """LJ025-0076: a woman reads for 8.4 s, at 22,050 Hz."""
    return Audio.read(data / "two_channel" / "LJ025-0076.wav")


@pytest.fixture(scope="session")
def worker() -> Iterator[Worker]:
    from entrain.worker import Worker

    with Worker() as worker:
        yield worker


@pytest.fixture(scope="session")
def hibari() -> TTS:
    return load_tts("hibari")


@pytest.fixture(scope="session")
def espeak() -> TTS:
    pytest.importorskip("espeakng_loader", reason="pip install 'entrain[espeak]'")
    return load_tts("espeak")

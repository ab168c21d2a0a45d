"""A turn: who spoke, when, what they said and how it sounded. Missing values are None, never NaN."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

SCHEMA = "entrain-1"
FEATURES = ("f0_mean_st", "f0_range_st", "level_db", "rate_syll_s", "jitter", "shimmer", "nhr")

Who = Literal["user", "agent"]
Vector = NDArray[np.float64]  # (7,), in the order of FEATURES
Mask = NDArray[np.bool_]  # (7,)
Finite = Annotated[float, Field(allow_inf_nan=False)]


class Record(BaseModel):
    """Immutable, checked on the way in, the same in JSON: the form of everything entrain stores."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Word(Record):
    """A word, and where in the turn it lies if the recogniser or synthesiser knows (seconds from the turn's start)."""

    text: str
    start_s: Finite | None = None
    end_s: Finite | None = None


class Features(Record):
    """The seven prosodic features of a turn and their context. None: not measurable, for a reason named in `missing`."""

    f0_mean_st: Finite | None = None
    """Mean pitch of voiced frames, semitones re 100 Hz."""
    f0_range_st: Finite | None = None
    """Pitch range: 95th less 5th percentile of voiced frames, semitones."""
    level_db: Finite | None = None
    """Energy mean over voiced audio, dB re full scale. The microphone's gain is in it: compare only as z-scores."""
    rate_syll_s: Finite | None = None
    """Syllables per second of speech, pauses of .2 s and more left out."""
    jitter: Finite | None = None
    """Local jitter: mean change between neighbouring periods, as a share of the mean period."""
    shimmer: Finite | None = None
    """Local shimmer: mean change between neighbouring periods' amplitudes, as a share of the mean amplitude."""
    nhr: Finite | None = None
    """Noise-to-harmonics ratio: mean over voiced frames of (1 − r)/r, r the autocorrelation at the period."""

    duration_s: Finite = 0.0
    speech_s: Finite = 0.0
    voiced_s: Finite = 0.0
    clipped_ratio: Finite = 0.0
    n_syllables: int = 0
    rate_source: Literal["words", "nuclei", "none"] = "none"
    """Syllables counted in the words, or estimated from the audio's syllable nuclei (rougher, so trusted less)."""
    missing: dict[str, str] = {}
    """Feature → why it is None: "too short", "unvoiced", "clipped", "no speech" …"""
    profile: str = SCHEMA

    @property
    def vector(self) -> Vector:
        """The seven values, shape `(7,)`, 0 where not valid: use with `valid`."""
        return np.array([getattr(self, name) or 0.0 for name in FEATURES])

    @property
    def valid(self) -> Mask:
        """Shape `(7,)`: True where the feature was measured."""
        return np.array([getattr(self, name) is not None for name in FEATURES])

    @property
    def pause_ratio(self) -> float:
        return max(0.0, 1 - self.speech_s / self.duration_s) if self.duration_s else 0.0


class Turn(Record):
    """One speaker's stretch of talk. Times are seconds from the conversation's start."""

    speaker: Who
    start_s: Finite
    end_s: Finite
    text: str = ""
    words: tuple[Word, ...] = ()
    features: Features = Features()
    z: tuple[Finite | None, ...] = (None,) * len(FEATURES)
    """The features normalised when the turn was heard, knowing nothing later. Shape (7,)."""
    latency_s: Finite | None = None
    """Seconds from the end of the other's last turn; negative where they overlapped; None for the first."""
    plan: dict[str, Finite | None] | None = None
    """Agent only: what was aimed at, by target name."""
    realised: dict[str, Finite | None] | None = None
    """Agent only: what came out, by the same names."""
    emotion: dict[str, Finite] | None = None
    """Label → probability, where a model of emotion judged the turn."""
    notes: tuple[str, ...] = ()
    """What a cap or step limit held back, and what the engine could not realise."""
    fault: str = ""
    """What went wrong with this turn, if anything: it is then neutral, and kept."""
    audio_file: str = ""
    """Where the audio is kept, if the host asked for that."""

"""The settings of a wake word's training, and what its 10 s mixes are made of."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from entrain_training.study import Study

Network = Literal["embedding", "conv-gru"]


class Wake(Study):
    """Beside what all trainings have."""

    epochs: int = Field(default=12, ge=1)
    patience: int = Field(default=12, ge=1)
    """The dev part is small, and falls late, with the learning rate."""
    batch_size: int = Field(default=32, ge=1)
    learning_rate: float = Field(default=1.5e-3, gt=0, le=1)
    network: Network = "embedding"
    """`embedding`: a small head on the bundled speech-embedding network. `conv-gru`: from scratch, on log-Mel."""
    hidden: int = Field(default=64, ge=1)
    """Units of the embedding head's layer."""
    heads: int = Field(default=4, ge=1)
    """That are trained beside each other and whose mean counts."""
    n_embeddings: int = Field(default=8, ge=1)
    """That the head looks at, 80 ms apart: 8 are 1.3 s of sound, a word and a half; a longer phrase needs more."""
    smooth: int = Field(default=2, ge=1)
    """Scores whose mean counts."""
    dropout: float = Field(default=0.5, ge=0, lt=1)
    blur: float = Field(default=0.3, ge=0)
    """Noise on the head's embeddings in training, in standard deviations of each value."""

    mixes: int = Field(default=220, ge=1)
    """New ones each epoch."""
    passes: int = Field(default=6, ge=1)
    """How often each mix is learnt from before it is thrown away; making one costs more than learning from it."""
    mix_s: float = Field(default=10.0, gt=1)
    max_activates: int = Field(default=4, ge=1)
    max_negatives: int = Field(default=5, ge=0)
    label_steps: int = Field(default=50, ge=1)
    """Steps after each activate's end that are to score high, of conv-gru: 20 ms each."""
    snr_db: tuple[float, float] = (3.0, 20.0)
    """Noise is so far below speech."""
    shift_st: float = Field(default=4.0, ge=0)
    """Voices are made so much smaller or larger: pitch and formants together."""
    tempo_x: tuple[float, float] = (0.8, 1.25)
    real_share: float = Field(default=0.25, ge=0, le=1)
    """Of the activates, where there are recordings and synthesis; the rest is synthesised."""

    n_synthesised: int = Field(default=500, ge=0)
    """Times that the word is said by synthesis."""
    n_near: int = Field(default=400, ge=0)
    """Near misses, likewise."""
    n_sentences: int = Field(default=400, ge=0)
    dev_share: float = Field(default=0.2, gt=0, lt=1)
    """Of recordings, sentences and espeak's voices: for the choice of the epoch and the threshold only."""
    dev_mixes: int = Field(default=64, ge=1)
    false_accepts_per_hour: float = Field(default=0.5, gt=0)
    """The threshold is to keep to this, on the dev part's speech without the word."""

    @model_validator(mode="after")
    def _ordered(self) -> Wake:
        for name in ("snr_db", "tempo_x"):
            low, high = getattr(self, name)
            if low > high or (name == "tempo_x" and low <= 0):
                raise ValueError(
                    f"{name} is {low},{high}; give the lower first"
                    + (", above 0" if name == "tempo_x" else "")
                )
        return self

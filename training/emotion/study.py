"""Settings of a training of emotion; every kind of model takes those that it has a use for."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from entrain_training.study import Study

Kind = Literal["svm", "network", "wav2vec2", "mean"]
Normalise = Literal["online", "none", "whole"]
Measures = Literal["all", "egemaps", "mfcc"]


OF_KIND: dict[str, dict[str, Any]] = {
    "wav2vec2": {"epochs": 15, "batch_size": 8, "learning_rate": 3e-5, "warm_up": 200},
}
"""Settings that a pretrained network wants otherwise."""


class EmotionStudy(Study):
    def __init__(self, **given: Any) -> None:
        super().__init__(**(OF_KIND.get(str(given.get("model")), {}) | given))

    model: Kind = "svm"
    """`mean` is svm and network, their probabilities averaged."""
    normalise: Normalise = "online"
    """What is a speaker compared with: what was heard of them so far, nothing, or (for tables only) all of their turns, later ones too."""
    orders: int = Field(default=3, ge=1)
    """So many random orders of each speaker's turns are trained on, so that little and much is known of them."""

    measures: Measures = "all"
    """svm: every functional, the eGeMAPS-like, or the means of MFCC."""
    c: tuple[float, ...] = (1.0, 3.0)
    """svm: costs to choose from, on training speakers; one number is taken as it is."""
    gamma: tuple[float, ...] = (0.5, 1.0)
    """svm: widths of the kernel to choose from, as multiples of 1 / number of measures."""
    prior_count: tuple[float, ...] = (1.0, 2.0, 4.0)
    """Turns that the training speakers' mean weighs against a speaker's own, to choose from. The network takes the middle one."""
    spread_count: float = Field(default=4.0, gt=0)
    """Turns that their spread weighs."""
    inner_folds: int = Field(default=4, ge=2)
    """Parts of the training speakers, each held out once, that these are chosen and probabilities calibrated on."""

    epochs: int = Field(default=30, ge=1)
    batch_size: int = Field(default=32, ge=1)
    crop_s: float = Field(default=1.6, gt=0)
    """network: seconds of a turn that are seen at once in training."""
    width: int = Field(default=24, ge=4)
    """network: channels of the first layers."""
    dropout: float = Field(default=0.3, ge=0, lt=1)

    checkpoint: str = "facebook/wav2vec2-base"
    """wav2vec2: a name on the hub, or a folder; base or large, with any further training."""
    pooling: Literal["mean", "attention"] = "attention"
    head_rate: float = Field(default=10.0, gt=0)
    """wav2vec2: the new head learns so many times faster than the pretrained layers."""
    frozen_layers: int = Field(default=0, ge=0)
    """wav2vec2: so many of the first transformer layers stay as they are too; the convolution always does."""
    max_s: float = Field(default=6.0, gt=0)
    """wav2vec2: a longer turn is cut at random in training."""
    mixup: float = Field(default=0.2, ge=0, le=1)
    """Share of a batch that is two turns one after the other, each label weighing as much as its length."""
    swap: float = Field(default=0.2, ge=0, le=1)
    """wav2vec2: share of a batch whose stretches between pauses change places."""

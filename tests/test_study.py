"""The training that voice activity, wake word and emotion share: what it learns, keeps, and how it goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from entrain_training.schedule import TrainingError
from entrain_training.study import Batches, Study, again, learn

TRUE = torch.tensor([[2.0, -1.0, 0.5]])


class Line:
    """A line through noisy points, drawn anew each epoch."""

    def __init__(self, seed: int = 0, n_steps: int = 10, stop_at: int | None = None) -> None:
        torch.manual_seed(seed)
        self.network = nn.Linear(3, 1, bias=False)
        self.n_steps, self.stop_at, self.n_judged = n_steps, stop_at, 0

    def about(self) -> dict[str, Any]:
        return {"n_steps": self.n_steps}

    def epoch(self, rng: np.random.Generator) -> list[float]:
        return list(rng.uniform(0.5, 1.5, self.n_steps))

    def batch(self, of: float, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        x = torch.from_numpy(rng.normal(0, of, (16, 3)).astype(np.float32))
        return x, x @ TRUE.T

    def loss(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        return nn.functional.mse_loss(self.network(batch[0]), batch[1])

    def dev(self) -> list[tuple[Tensor, Tensor]]:
        return [self.batch(1.0, np.random.default_rng(99))]

    def judge(self) -> dict[str, float]:
        self.n_judged += 1
        if self.n_judged == self.stop_at:
            raise KeyboardInterrupt
        return {"dev_distance": float((self.network.weight - TRUE).abs().max().detach())}


SHORT = {"epochs": 4, "learning_rate": 0.05, "warm_up": 2, "accelerator": "cpu", "weight_decay": 0.0}


def test_it_learns_and_tells(tmp_path: Path):
    task = Line()
    rows = learn(task, tmp_path / "run", Study(**SHORT | {"epochs": 12}, seed=1))
    assert len(rows) == 12
    assert rows[-1]["dev_distance"] < 0.05 < rows[0]["dev_distance"]
    assert json.loads((tmp_path / "run" / "history.json").read_text()) == rows
    assert json.loads((tmp_path / "run" / "settings.json").read_text())["about"] == {"n_steps": 10}


def test_one_that_was_stopped_goes_on_to_the_very_same_weights(tmp_path: Path):
    whole, part, settings = Line(), Line(stop_at=3), Study(**SHORT, seed=3)
    learn(whole, tmp_path / "whole", settings)
    with pytest.raises(KeyboardInterrupt):
        learn(part, tmp_path / "part", settings)
    part = Line()
    rows = learn(part, tmp_path / "part", again(tmp_path / "part", Study, {}), resume=True)
    assert len(rows) == 4
    torch.testing.assert_close(part.network.weight, whole.network.weight, rtol=0, atol=0)


def test_two_epochs_differ_and_a_seed_repeats():
    first, second, once_more = (Batches(Line(), 5, epoch) for epoch in (0, 1, 0))
    assert not torch.equal(first[0][0], second[0][0])
    assert not torch.equal(first[0][0], first[1][0])
    assert torch.equal(first[0][0], once_more[0][0])


def test_without_a_seed_each_training_has_its_own_and_keeps_it(tmp_path: Path):
    assert Study().seed != Study().seed
    settings = Study(**SHORT)
    learn(Line(), tmp_path, settings)
    assert again(tmp_path, Study, {}).seed == settings.seed


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"settings": {"epochs": 9}}, "epochs was 4, is 9"),
        ({"n_steps": 11}, "n_steps was 10, is 11"),
    ],
)
def test_another_training_does_not_go_on(tmp_path: Path, change: dict[str, Any], says: str):
    learn(Line(), tmp_path, Study(**SHORT, seed=0))
    other = Study(**SHORT | change.get("settings", {}), seed=0)
    with pytest.raises(TrainingError, match=says):
        learn(Line(n_steps=change.get("n_steps", 10)), tmp_path, other, resume=True)


def test_a_training_is_not_overwritten_and_unknown_settings_are_named(tmp_path: Path):
    learn(Line(), tmp_path, Study(**SHORT, seed=0))
    with pytest.raises(TrainingError, match="there is a training in"):
        learn(Line(), tmp_path, Study(**SHORT, seed=0))
    with pytest.raises(TrainingError, match="don't give epochs"):
        again(tmp_path, Study, {"epochs": 3})
    with pytest.raises(TrainingError, match=r"no setting 'hiden'. Select from .*learning_rate"):
        Study(hiden=3)


def test_without_a_dev_part_the_last_epoch_is_kept(tmp_path: Path):
    task = Line()
    task.dev = list  # type: ignore[method-assign]
    rows = learn(task, tmp_path, Study(**SHORT, seed=0))
    assert "dev_loss" not in rows[0]
    assert rows[-1]["dev_distance"] == pytest.approx(
        float((task.network.weight - TRUE).abs().max().detach()), rel=1e-6
    )

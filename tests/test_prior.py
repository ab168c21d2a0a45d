"""The population's figures that ship are the ones that the command makes of the data."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest


def test_the_shipped_prior_is_what_the_command_makes(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "prior.json"
    command = [sys.executable, "-m", "entrain_training.prior", str(data), "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    shipped = json.loads(files("entrain").joinpath("data/prior.json").read_text(encoding="utf-8"))
    made = json.loads(out.read_text())
    assert made.keys() == shipped.keys()
    for register in ("any", "low", "high"):
        for name, figures in shipped[register].items():
            assert made[register][name] == pytest.approx(figures, rel=1e-2), (register, name)

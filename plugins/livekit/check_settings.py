"""Are the settings in our table those that LiveKit's plug-in packages take? Each package is downloaded, without what it depends on, and read.

Run: python plugins/livekit/check_settings.py [version, default 1.8.9]
"""

from __future__ import annotations

import ast
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from livekit.plugins.entrain.settings import KINDS, PLUGINS

PACKAGES = {"minimax": "minimax-ai"}  # those named otherwise than their modules
CLASSES = {**KINDS, "voice_settings": "VoiceSettings"}


def main(version: str = "1.8.9") -> int:
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, (_, names) in PLUGINS.items():
            source = download(f"livekit-plugins-{PACKAGES.get(name, name)}=={version}", name, Path(folder))
            absent = [ours for ours in names.values() if not takes(source, ours)]
            wrong += len(absent)
            print(
                f"{name:12} {', '.join(names.values()):36} {'ABSENT: ' + ', '.join(absent) if absent else 'there'}"
            )
    print("all there" if not wrong else f"{wrong} are not there: mend PLUGINS in settings.py", f"({version})")
    return min(wrong, 1)


def download(requirement: str, name: str, folder: Path) -> ast.Module:
    """The module with the package's TTS."""
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), requirement],
        check=True, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    wheel = next(folder.glob(f"livekit_plugins_{PACKAGES.get(name, name).replace('-', '_')}-*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        return ast.parse(archive.read(f"livekit/plugins/{name}/tts.py"))


def takes(source: ast.Module, ours: str) -> bool:
    """A keyword of `TTS.update_options`; after a dot, a field of the object that it takes."""
    classes = {node.name: node for node in ast.walk(source) if isinstance(node, ast.ClassDef)}
    keyword, _, inner = ours.partition(".")
    update = [
        node
        for node in classes["TTS"].body
        if isinstance(node, ast.FunctionDef) and node.name == "update_options"
    ]
    keywords = [argument.arg for node in update for argument in (*node.args.args, *node.args.kwonlyargs)]
    if not inner:
        return keyword in keywords
    fields = [
        node.target.id
        for node in classes[CLASSES[keyword]].body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    ]
    return keyword in keywords and inner in fields


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

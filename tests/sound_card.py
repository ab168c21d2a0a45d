"""A sound card that is none: a private PulseAudio with two null sinks. What is played into `user` is what the tested program's
microphone hears; what it plays can be recorded from `agent`."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from entrain.audio import Audio

RATE_HZ = 48_000
NEEDED = ("pulseaudio", "pactl", "paplay", "parec")
ASOUNDRC = "pcm.!default {type pulse}\nctl.!default {type pulse}\n"  # PortAudio knows ALSA, ALSA's plug-in knows PulseAudio


def missing() -> str:
    """Why there can be no sound card here; empty if there can."""
    gone = [program for program in NEEDED if shutil.which(program) is None]
    if gone:
        return f"{', '.join(gone)} not installed: apt install pulseaudio pulseaudio-utils libportaudio2 libasound2-plugins"
    plugins = list(Path("/usr/lib").glob("**/alsa-lib/libasound_module_pcm_pulse.so"))
    return "" if plugins else "ALSA's PulseAudio plug-in is not installed: apt install libasound2-plugins"


def wait_for(what: str, check: Callable[[], Any], seconds: float = 30.0) -> Any:
    """Until `check()` is true; what it returned. Fails, with `what` it waited for, after `seconds`."""
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s:
        if found := check():
            return found
        time.sleep(0.05)
    raise AssertionError(f"waited {seconds:g} s for {what}")


class SoundCard:
    """Its folder is the home of whatever shall use it: pass `env` to the process."""

    def __init__(self, folder: Path) -> None:
        for name in ("run", "pulse"):
            (folder / name).mkdir(mode=0o700, parents=True)
        (folder / ".asoundrc").write_text(ASOUNDRC)
        private = {
            "HOME": str(folder),
            "XDG_RUNTIME_DIR": str(folder / "run"),
            "PULSE_RUNTIME_PATH": str(folder / "pulse"),
        }
        shared = {name: value for name, value in os.environ.items() if not name.startswith("PULSE_")}
        self.env = shared | private
        self.start()

    def start(self) -> None:
        self._server = subprocess.Popen(
            ["nice", "-n", "-11", "pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1",
             "-L", "module-native-protocol-unix"],
            env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        wait_for("PulseAudio", lambda: self._run("pactl", "info").returncode == 0)
        self.modules: dict[str, str] = {}
        for sink in ("agent", "user"):
            self.plug(sink)

    def stop(self) -> None:
        """All devices are gone at once."""
        self._server.terminate()
        self._server.wait(10)

    def plug(self, sink: str) -> None:
        """`norewinds`: else a null sink sleeps up to 2 s at a time, and a stream begins with that gap."""
        made = self._run(
            "pactl",
            "load-module",
            "module-null-sink",
            f"sink_name={sink}",
            f"rate={RATE_HZ}",
            "channels=1",
            "norewinds=1",
        )
        self.modules[sink] = made.stdout.strip()
        self._run("pactl", "set-default-sink", "agent")
        self._run("pactl", "set-default-source", "user.monitor")

    def unplug(self, sink: str) -> None:
        self._run("pactl", "unload-module", self.modules.pop(sink))

    @contextmanager
    def echo(self) -> Iterator[None]:
        """The microphone hears what the loudspeaker plays."""
        looped = self._run(
            "pactl", "load-module", "module-loopback", "source=agent.monitor", "sink=user", "latency_msec=60"
        ).stdout.strip()  # fmt: skip
        try:
            yield
        finally:
            self._run("pactl", "unload-module", looped)

    def say(self, audio: Audio) -> None:
        """The scripted user speaks; returns when they have."""
        pcm = _pcm(audio.resample(RATE_HZ))
        subprocess.run(
            ["paplay", "--raw", "--device=user", f"--rate={RATE_HZ}", "--channels=1", "--format=s16le", "--latency-msec=30"],
            env=self.env, input=pcm, check=True, timeout=60,
        )  # fmt: skip

    @contextmanager
    def recording(self) -> Iterator[Callable[[], Audio]]:
        """What the loudspeaker plays meanwhile: call the result for all of it so far."""
        path = Path(self.env["HOME"]) / f"recorded-{time.monotonic_ns()}.pcm"
        with path.open("wb") as file:
            recorder = subprocess.Popen(
                ["parec", "--raw", "--device=agent.monitor", f"--rate={RATE_HZ}", "--channels=1", "--format=s16le",
                 "--latency-msec=30"], env=self.env, stdout=file,
            )  # fmt: skip
            try:
                yield lambda: Audio.from_pcm16(_even(path.read_bytes()), RATE_HZ)
            finally:
                recorder.terminate()
                recorder.wait()

    def _run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=10, check=False)


def _pcm(audio: Audio) -> bytes:
    return (np.clip(audio.samples, -1, 1) * 32_767).astype("<i2").tobytes()


def _even(pcm: bytes) -> bytes:
    return pcm[: len(pcm) // 2 * 2]

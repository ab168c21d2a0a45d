"""One microphone and one loudspeaker, opened together, and waited for when they are unplugged."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from entrain.audio import Audio
from entrain.devices import DeviceError, Kind, find_device, look_again, portaudio
from entrain.echo import EchoCanceller

Samples = NDArray[np.float32]  # (N,)

RATES_HZ = (48_000, 44_100, 16_000)  # in this order until the devices take one
BLOCK_S = 0.02
LATENCY_S = (
    0.05  # asked of the driver: less makes PulseAudio stutter on a busy machine, more delays a barge-in
)
STALLED_S = 2.0  # a sound card calls every 20 ms, and PulseAudio takes a second to begin
RETRY_S = 1.0
CLOSE_S = 2.0  # a driver may never come back from closing a device that is gone
MUTED_DB = -90.0  # the last bit of 16 is at −90 dB: below, nothing is connected, or it is switched off


class Duplex:
    """Both devices at one rate. What the microphone hears goes to `hear`, in blocks `(N,)` and without the agent's own
    voice if there is a canceller; what to play comes from `pull`, `(n,)` of n.

    They are two streams of PortAudio's: in one, every hiccup of the loudspeaker would delay the microphone a little more, for good
    (measured through PulseAudio on a busy machine: 5 s within half a minute).

    `tell` is given sentences about what happens to the devices: lost, back again, muted. All three must return at once; `pull`
    is called on the sound card's thread, the others on ours.
    """

    def __init__(
        self, input_name: str | None = None, output_name: str | None = None,
        tell: Callable[[str], None] = lambda message: None, muted_s: float = 60.0,
    ) -> None:  # fmt: skip
        """Opens nothing yet but tries the rates: `rate_hz` is the first that both devices take."""
        self.names: dict[Kind, str | None] = {"input": input_name, "output": output_name}
        self.tell, self.muted_s = tell, muted_s
        self.canceller: EchoCanceller | None = None
        self.rate_hz = RATES_HZ[0]
        self.rate_hz = self._first_rate()
        self._streams: list[Any] = []
        self._blocks: queue.Queue[tuple[Kind, Samples]] = queue.Queue()
        self._flowed_s: dict[Kind, float] = {}
        """When each device last asked or brought something."""
        self._closing = threading.Event()
        self._silent_s = 0.0
        self._told_muted = False

    def open(self, hear: Callable[[Samples], None], pull: Callable[[int], Samples]) -> None:
        """Begin. Raises `DeviceError` if the devices are not there or busy; later losses are waited out."""
        self._hear, self._pull = hear, pull
        self._start()
        self._thread = threading.Thread(target=self._watch, name="sound card", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closing.set()
        if hasattr(self, "_thread"):
            self._thread.join()
        self._drop()

    def __enter__(self) -> Duplex:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- opening --------------------------------------------------------------------------------------------------

    def _first_rate(self) -> int:
        for rate_hz in RATES_HZ:
            try:
                self._drop_all(self._opened(rate_hz))
            except portaudio().PortAudioError as error:
                if "rate" not in str(error).lower() or rate_hz == RATES_HZ[-1]:
                    raise DeviceError(self._excuse(error)) from error
            else:
                if rate_hz != RATES_HZ[0]:
                    self.tell(f"the devices refuse {RATES_HZ[0]} Hz; going on at {rate_hz} Hz.")
                return rate_hz
        raise AssertionError("the last rate either opens or raises")

    def _opened(self, rate_hz: int) -> list[Any]:
        """Both streams, not yet started."""
        sounddevice = portaudio()
        settings: dict[str, Any] = {
            "samplerate": rate_hz, "blocksize": round(BLOCK_S * rate_hz), "channels": 1, "dtype": "float32", "latency": LATENCY_S,
        }  # fmt: skip
        microphone = sounddevice.InputStream(
            device=find_device(self.names["input"], "input").number, callback=self._heard, **settings
        )
        try:
            loudspeaker = sounddevice.OutputStream(
                device=find_device(self.names["output"], "output").number, callback=self._played, **settings
            )
        except BaseException:
            self._drop_all([microphone])
            raise
        return [microphone, loudspeaker]

    def _start(self) -> None:
        try:
            self._streams = self._opened(self.rate_hz)
            for stream in self._streams:
                stream.start()
        except portaudio().PortAudioError as error:
            self._drop()
            raise DeviceError(self._excuse(error)) from error
        self._flowed_s = dict.fromkeys(self.names, time.monotonic())

    def _excuse(self, error: Exception) -> str:
        names = " and ".join(repr(name) for name in self.names.values() if name) or "the default devices"
        busy = "unavailable" in str(error).lower() or "busy" in str(error).lower()
        advice = (
            "Another program may hold it: close that"
            if busy
            else "Select other devices with --input and --output"
        )
        return f"{names} can't be opened ({error}). {advice}; see: entrain talk --devices"

    # --- on the sound card's threads ------------------------------------------------------------------------------

    def _heard(self, heard: Any, n: int, at: Any, status: Any) -> None:
        """`heard`: `(n, 1)`. A copy, and nothing else."""
        self._flowed_s["input"] = time.monotonic()
        self._blocks.put_nowait(("input", heard[:, 0].copy()))

    def _played(self, out: Any, n: int, at: Any, status: Any) -> None:
        """`out`: `(n, 1)`."""
        self._flowed_s["output"] = time.monotonic()
        out[:, 0] = played = self._pull(n)
        self._blocks.put_nowait(("output", played))

    # --- on our thread --------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        while not self._closing.is_set():
            try:
                kind, samples = self._blocks.get(timeout=0.1)
            except queue.Empty:
                pass
            else:
                self._cancel_or_not(kind, samples)
            if self._stalled():
                self._regain()

    def _cancel_or_not(self, kind: Kind, samples: Samples) -> None:
        try:
            self._pass_on(kind, samples)
        except RuntimeError as error:  # WebRTC's, of whatever kind: an echo is better than no ears
            self.canceller = None
            self.tell(f"the echo canceller has failed ({error}); going on without it.")

    def _pass_on(self, kind: Kind, samples: Samples) -> None:
        if kind == "output":
            if self.canceller:
                self.canceller.played(samples)
            return
        self._note_muted(samples)
        self._hear(self.canceller.clean(samples) if self.canceller else samples)

    def _stalled(self) -> bool:
        oldest_s = min(self._flowed_s.values())
        return time.monotonic() - oldest_s > STALLED_S or not all(stream.active for stream in self._streams)

    def _regain(self) -> None:
        """Wait until the devices are there again."""
        self.tell("the sound device is gone; waiting for it. The conversation goes on when it is back.")
        while not self._closing.is_set():
            self._drop()
            try:
                look_again()
                self._start()
            except (DeviceError, portaudio().PortAudioError):
                self._closing.wait(RETRY_S)
                continue
            if self._flows():
                self.tell("the sound device is back.")
                return

    def _flows(self) -> bool:
        """A stream that opens may still be dead."""
        opened_s = min(self._flowed_s.values())
        until_s = time.monotonic() + STALLED_S
        while time.monotonic() < until_s and not self._closing.wait(0.05):
            if min(self._flowed_s.values()) > opened_s:
                return True
        return False

    def _drop(self) -> None:
        streams, self._streams = self._streams, []
        self._drop_all(streams)

    @staticmethod
    def _drop_all(streams: list[Any]) -> None:
        for stream in streams:
            closer = threading.Thread(target=stream.close, kwargs={"ignore_errors": True}, daemon=True)
            closer.start()
            closer.join(CLOSE_S)

    def _note_muted(self, heard: Samples) -> None:
        level_db = Audio(np.nan_to_num(heard), self.rate_hz).level_db
        if level_db is not None and level_db > MUTED_DB:
            self._silent_s, self._told_muted = 0.0, False
            return
        self._silent_s += len(heard) / self.rate_hz
        if self._silent_s >= self.muted_s and not self._told_muted:
            self._told_muted = True
            self.tell(
                f"the microphone has been silent for {self.muted_s:g} s. Is it muted, or is another the right one? "
                "See: entrain talk --devices"
            )

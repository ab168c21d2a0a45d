"""Microphones and loudspeakers: what is there, and which is meant by a name."""

from __future__ import annotations

from typing import Any, Literal

from entrain.optional import require
from entrain.turn import Record

Kind = Literal["input", "output"]


class DeviceError(RuntimeError):
    """There is no such device, or it can't be opened; the message says what to do."""


class Device(Record):
    """A sound device. `number` is what PortAudio calls it now; it may change when something is plugged in."""

    number: int
    name: str
    inputs: int
    outputs: int
    default_input: bool = False
    default_output: bool = False


def devices() -> list[Device]:
    """What is there now. Raises `DeviceError` if PortAudio is missing."""
    sounddevice = portaudio()
    first, second = (int(number) for number in sounddevice.default.device)
    hosts: list[Any] = list(sounddevice.query_hostapis())
    default_in = first if first >= 0 else next((int(host["default_input_device"]) for host in hosts), -1)
    default_out = second if second >= 0 else next((int(host["default_output_device"]) for host in hosts), -1)
    return [
        Device(
            number=number,
            name=str(info["name"]),
            inputs=int(info["max_input_channels"]),
            outputs=int(info["max_output_channels"]),
            default_input=number == default_in,
            default_output=number == default_out,
        )
        for number, info in enumerate(sounddevice.query_devices())
    ]


def find_device(name: str | None, kind: Kind) -> Device:
    """By its number or (part of) its name, in any case; None is the system's choice."""
    fit = [device for device in devices() if (device.inputs if kind == "input" else device.outputs)]
    what = "microphone" if kind == "input" else "loudspeaker"
    if not fit:
        raise DeviceError(f"there is no {what}. Plug one in or start PulseAudio; see: entrain talk --devices")
    if name is None:
        chosen = [device for device in fit if getattr(device, f"default_{kind}")]
        return (chosen or fit)[0]
    exact = [device for device in fit if name == str(device.number) or name.lower() == device.name.lower()]
    found = exact or [device for device in fit if name.lower() in device.name.lower()]
    if not found:
        choices = ", ".join(f"{device.number} {device.name!r}" for device in fit)
        raise DeviceError(f"there is no {what} {name!r}. Select one of {choices}.")
    return found[0]


def portaudio() -> Any:
    """The module `sounddevice`, or `DeviceError` with what to install."""
    try:
        return require("sounddevice", "pip install 'entrain[live]'", DeviceError)
    except OSError as error:
        raise DeviceError(f"{error}. Install it: apt install libportaudio2") from error


def look_again() -> None:
    """PortAudio lists the devices once, when it begins. No stream may be open."""
    sounddevice = portaudio()
    sounddevice._terminate()
    sounddevice._initialize()

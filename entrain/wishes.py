"""What clients say in the middle of a live session: text messages, checked."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from entrain.audio import RATE_MAX_HZ, RATE_MIN_HZ
from entrain.messages import Sound, StrategyName, Text
from entrain.turn import Record


class Hello(Record):
    """The first message of a live talk."""

    type: Literal["hello"]
    rate_hz: int = Field(ge=RATE_MIN_HZ, le=RATE_MAX_HZ)
    token: str | None = None
    strength: float | None = Field(default=None, ge=0, le=1)
    strategy: StrategyName | None = None
    hands_free: bool = True
    ears_only: bool = False


class Begin(Record):
    type: Literal["begin"]


class End(Record):
    type: Literal["end"]
    text: Text | None = None
    reply: Text | None = None


class Plan(Record):
    type: Literal["plan"]
    reply: Text


class Said(Record):
    type: Literal["spoke"]
    text: Text
    audio: Sound | None = None


class Strength(Record):
    type: Literal["strength"]
    value: float = Field(ge=0, le=1)


class Interrupt(Record):
    type: Literal["interrupt"]


class Bye(Record):
    type: Literal["bye"]


Wish = Begin | End | Plan | Said | Strength | Interrupt | Bye
HELLO: TypeAdapter[Hello] = TypeAdapter(Hello)
WISH: TypeAdapter[Wish] = TypeAdapter(Annotated[Wish, Field(discriminator="type")])
"""What a client may say in the middle of a live talk."""

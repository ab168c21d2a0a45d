"""What hosts send and get: the bodies of requests and answers, checked, and described in OpenAPI."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Literal

from pydantic import BeforeValidator, ConfigDict, Field, WithJsonSchema

from entrain.conditioning import Realised
from entrain.emotion import Manner
from entrain.normalize import Normalizer, Register
from entrain.targets import Targets
from entrain.turn import Finite, Record, Turn, Who

ID_PATTERN = r"^[A-Za-z0-9_.:\-]{1,200}$"
StrategyName = Literal["neutral", "matching", "weighted", "neural"]
"""What clients may ask for: names only, no folders."""


def _decoded(sound: object) -> object:
    if not isinstance(sound, str):
        return sound
    try:
        return base64.b64decode(sound, validate=True)
    except binascii.Error as error:
        raise ValueError(f"this is not base64 ({error})") from None


Sound = Annotated[
    bytes,
    BeforeValidator(_decoded),
    WithJsonSchema({"type": "string", "contentEncoding": "base64"}),
    Field(min_length=1, description="A file libsndfile knows (wav, flac, ogg, mp3 …), in base64."),
]
Text = Annotated[str, Field(max_length=5_000)]
Seconds = Annotated[Finite, Field(ge=0)]
Number = Annotated[
    int | None,
    Field(ge=0, description="How many turns there should be before this one; 409 if there are others."),
]
START = Field(
    default=None, description="Seconds since the conversation began; else where the last turn ended."
)


class UserTurn(Record):
    """What the user said."""

    audio: Sound
    text: Text | None = Field(default=None, description="The words; recognised when left out.")
    start_s: Seconds | None = START
    of_register: Register = Field(
        default="any", alias="register",  # a name that pydantic's own class has
        description="The user's voice, if it is known to be low or high; counts at the first turn.",
    )  # fmt: skip
    turn: Number = None


class AgentTurn(Record):
    """What the agent is to say now."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"text": "We open at nine."}]})

    text: Text = Field(min_length=1)
    synthesise: bool = Field(
        default=True, description="False: targets only; tell later, by /spoke, what was really said."
    )
    strength: float | None = Field(
        default=None, ge=0, le=1, description="From now on; 0 leaves the voice alone."
    )
    strategy: StrategyName | None = Field(default=None, description="From now on.")
    turn: Number = None


class Spoke(Record):
    """What the agent really said, in a voice of the host's own."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"text": "We open at nine."}]})

    text: Text
    audio: Sound | None = Field(default=None, description="As it was played, so that it is measured.")
    targets: Targets | None = Field(default=None, description="The plan; the last one when left out.")
    start_s: Seconds | None = START
    turn: Number = None


class Remembered(Record):
    """A turn, and its place in the conversation, from 0 on."""

    number: int
    turn: Turn


class Reply(Record):
    """How the reply should sound; and, if it was synthesised, how it did."""

    targets: Targets
    number: int | None = None
    turn: Turn | None = None
    realised: Realised | None = None
    audio: str | None = Field(
        default=None,
        description="A 16-bit wav file in base64.",
        json_schema_extra={"contentEncoding": "base64"},
    )
    rate_hz: int | None = None


class LookedAt(Record):
    """Where the model looked for one reply."""

    turns: tuple[float, ...] = Field(description="The weight of each turn before it.")
    words: tuple[tuple[str, float], ...] = Field(description="The reply's words and their weights.")


class Conversation(Record):
    """All that is kept of a conversation, as `entrain history import` reads it."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    form: str = Field(alias="schema")
    id: str
    user: Normalizer
    agent: Normalizer
    manners: dict[Who, Manner] = Field(
        default={}, description="How each sounds as a rule, where a model of emotion is used."
    )
    n_forgotten: int
    turns: tuple[Turn, ...]
    looked: dict[int, LookedAt] | None = Field(
        default=None, description="By the reply's place; when asked for."
    )


class Deleted(Record):
    """Whether there was anything to delete."""

    deleted: bool


class Health(Record):
    """The server can answer."""

    status: Literal["ok"] = "ok"
    version: str


class Detail(Record):
    """`code` is for programs, `message` for people."""

    code: str
    message: str


class Problem(Record):
    """Why a request was not done: the shape of every error."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"error": {"code": "busy", "message": "Another request is being done."}}]
        }
    )

    error: Detail


def private(turn: Turn) -> Turn:
    """A turn for clients, without what is the server's own affair: paths, and the details of errors."""
    return turn.model_copy(update={"audio_file": "", "fault": turn.fault.partition(":")[0]})

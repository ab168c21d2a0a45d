"""`entrain serve`: the server from the command line; its settings go to the workers through the environment."""

from __future__ import annotations

import copy
import os
import socket
import tempfile
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import Field, ValidationError
from rich.markup import escape

from entrain.discreet import quiet_logs
from entrain.optional import require
from entrain.options import ASR, TTS, VAD, Emotion, Engine, Profile, console
from entrain.turn import Record

if TYPE_CHECKING:
    from entrain.conversation import Entrainer
    from entrain.ear import Ears
    from entrain.limits import Limits
    from entrain.responder import Responder

SETTINGS = "ENTRAIN_SERVE"  # the environment variable that workers read their settings from
LOOPBACK = (
    "127.0.0.1",
    "localhost",
    "::1",
)  # not of entrain.limits: that needs starlette, and this is read by every command
INSTALL = "pip install 'entrain[serve]'"
UVICORN: dict[str, Any] = {
    "access_log": False,  # conversations have names
    "log_level": "warning", "server_header": False, "proxy_headers": False, "ws_max_size": 2_000_000, "ws_max_queue": 64,
    "ws_per_message_deflate": False,  # speech does not shrink
    "timeout_graceful_shutdown": 10, "h11_max_incomplete_event_size": 65_536,
}  # fmt: skip


class ServeError(ValueError):
    """The server can't be started so; the message says what to change."""


class Settings(Record):
    """What the operator chose; it loads what a server needs (`entrain.serve.Load`)."""

    tts: str = "hibari"
    strategy: str = "neural"
    strength: float = 1.0
    engine: str = "psola"
    voice: str | None = None
    asr: str = "moonshine"
    store: str | None = None
    keep_audio: str | None = None
    responding: str = "eliza"
    vad: str = "silero"
    wake: str | None = None
    emotion: str | None = None
    limits: dict[str, Any] = Field(default_factory=dict[str, Any])

    def agent(self) -> Entrainer:
        from entrain.conversation import Entrainer

        agent = Entrainer.load(
            self.tts, self.strategy, self.strength, recogniser=None if self.asr == "none" else self.asr,
            store=self.store, engine=self.engine, voice=self.voice, keep_audio=self.keep_audio,
            emotion=self.emotion,
        )  # fmt: skip
        warm(agent)
        return agent

    def ears(self) -> Ears:
        from entrain.ear import Ears

        return Ears.load(self.vad, self.wake)

    def responder(self, conversation_id: str) -> Responder:
        from entrain.responder import load_responder

        return load_responder(self.responding, conversation_id)


@dataclass(frozen=True)
class Ready:
    """Settings with what they name loaded already (`entrain.serve.Load`)."""

    settings: Settings
    loaded_agent: Entrainer
    loaded_ears: Ears

    @classmethod
    def load(cls, settings: Settings) -> Ready:
        ears = settings.ears()  # first: it leaves no process behind if the other fails
        return cls(settings, settings.agent(), ears)

    def agent(self) -> Entrainer:
        return self.loaded_agent

    def ears(self) -> Ears:
        return self.loaded_ears

    def responder(self, conversation_id: str) -> Responder:
        return self.settings.responder(conversation_id)


def warm(agent: Entrainer) -> None:
    """The first turn of all loads networks and dictionaries, for 4 s: not in somebody's talk."""
    trial = copy.copy(agent)
    trial.store = trial.keep_audio = None
    talk = trial.conversation()
    talk.hear(agent.tts.synthesise("Hello, how are you?").audio)
    talk.say("Hello.")


def app_from_environment() -> Any:
    """The application of one worker process."""
    from entrain.serve import make_app

    quiet_logs()
    settings = Settings.model_validate_json(os.environ[SETTINGS])
    return make_app(settings, _limits(settings.limits, os.environ.get("ENTRAIN_TOKEN")))


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on; others than this machine's own need a token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port; 0 takes a free one.")] = 8_321,
    token: Annotated[str | None, typer.Option(help="Clients must know it; 16 characters or more.", envvar="ENTRAIN_TOKEN")] = None,
    origin: Annotated[list[str] | None, typer.Option(help="A web page from elsewhere that may ask, as in https://clinic.example.")] = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes; more than one need a --store to share.")] = 1,
    store: Annotated[str | None, typer.Option(help="SQLite file or database URL.", envvar="ENTRAIN_STORE")] = None,
    responder: Annotated[str, typer.Option(help="Who answers in live talks: eliza, script:FILE, rasa:URL, openai:URL.")] = "eliza",
    tts: TTS = "hibari",
    strategy: Annotated[str, typer.Option(help="neural[:folder], weighted, matching or neutral; clients may choose another.")] = "neural",
    strength: Annotated[float, typer.Option(min=0, max=1, help="Unless a client says otherwise.")] = 1.0,
    engine: Engine = "psola",
    voice: Profile = None,
    asr: ASR = "moonshine",
    vad: VAD = "silero",
    wake: Annotated[str | None, typer.Option(help="Live talks begin asleep until this word is said.")] = None,
    emotion: Emotion = None,
    keep_audio: Annotated[Path | None, typer.Option(help="Folder, only if sound shall be kept.")] = None,
    live: Annotated[int, typer.Option(min=1, help="Live talks at once, in each worker.")] = 32,
    requests_per_s: Annotated[float, typer.Option(min=0.1, help="Of one client.")] = 50,
    session_s: Annotated[float, typer.Option(min=1, help="The longest live talk, seconds.")] = 7_200,
    idle_s: Annotated[float, typer.Option(min=1, help="After this a conversation leaves memory, seconds.")] = 1_800,
) -> None:  # fmt: skip
    """Serve hosts in other processes (REST and WebSocket, described at /openapi.json) and the page in a browser.

    Example: `entrain serve --store talks.db`, then open http://127.0.0.1:8321
    """
    limits: dict[str, Any] = {"origins": origin or [], "live": live, "requests_per_s": requests_per_s,
                              "session_s": session_s, "idle_s": idle_s}  # fmt: skip
    if host not in LOOPBACK:
        limits["hosts"] = []  # its names in the world are not ours to know; the token guards it
    settings: dict[str, Any] = {
        "tts": tts, "strategy": strategy, "strength": strength, "engine": engine, "asr": asr, "store": store,
        "responding": responder, "vad": vad, "wake": wake, "voice": str(voice) if voice else None,
        "keep_audio": str(keep_audio) if keep_audio else None, "emotion": str(emotion) if emotion else None,
        "limits": limits,
    }  # fmt: skip
    port = port or _free_port(host)
    try:
        _check(host, token, workers, store, settings)
        name = f"[{host}]" if ":" in host else host
        console.print(f"Loading; in a few seconds open http://{name}:{port}", highlight=False, soft_wrap=True)
        ready = Ready.load(
            Settings.model_validate(settings)
        )  # also if the workers load again: errors are told here
    except (ValueError, RuntimeError, OSError) as error:
        console.print(f"[red]entrain:[/red] {escape(str(error))}", highlight=False)
        raise typer.Exit(2) from error
    run = partial(import_module("uvicorn").run, host=host, port=port, limit_concurrency=16 * live, **UVICORN)
    if workers == 1:
        quiet_logs()
        run(import_module("entrain.serve").make_app(ready, _limits(limits, token)))
        return
    ready.loaded_agent.close()
    with tempfile.TemporaryDirectory(prefix="entrain-metrics-") as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        os.environ[SETTINGS] = ready.settings.model_dump_json()
        os.environ["ENTRAIN_TOKEN"] = token or ""  # not in the settings: those may be shown
        run("entrain.serve_command:app_from_environment", factory=True, workers=workers)


def _check(host: str, token: str | None, workers: int, store: str | None, settings: dict[str, Any]) -> None:
    """What can be known to be wrong before anything is loaded."""
    for module in ("fastapi", "uvicorn", "python_multipart", "prometheus_client"):
        require(module, INSTALL, ServeError)
    if token is not None and len(token) < 16:
        raise ServeError(
            f"the token has {len(token)} characters; 16 are needed. Make one: openssl rand -hex 16"
        )
    if host not in LOOPBACK and not token:
        raise ServeError(
            f"{host} can be reached by others, who would need no token. Give --token (or ENTRAIN_TOKEN), or leave --host out."
        )
    if workers > 1 and not store:
        raise ServeError(
            f"{workers} workers need a --store to share conversations; give a file or a database's URL."
        )
    if settings["responding"] == "person":
        raise ServeError("a server has nobody at its keyboard; select another --responder than person.")
    from entrain.store import Store

    _limits(settings["limits"], token)
    Settings.model_validate(settings).responder("check")
    if store:
        Store(store).close()


def _limits(limits: dict[str, Any], token: str | None) -> Limits:
    from entrain.limits import Limits

    try:
        return Limits(token=token or None, **limits)
    except ValidationError as error:
        raise ServeError("; ".join(str(wrong["msg"]) for wrong in error.errors())) from error


def _free_port(host: str) -> int:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as place:
        place.bind((host, 0))
        return place.getsockname()[1]

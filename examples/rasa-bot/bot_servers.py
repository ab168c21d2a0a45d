"""entrain's server, the bot's actions and Rasa: started together on this machine's own address, and stopped whatever happens."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

from bot_environments import HERE, SetUpError, fingerprint

BOT = HERE / "bot"
START_S, STOP_S, TRAIN_S = 180, 20, 300
T = TypeVar("T")
QUIET = {
    "RASA_TELEMETRY_ENABLED": "false", "OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "",
    "PYTHONWARNINGS": "ignore", "SQLALCHEMY_SILENCE_UBER_WARNING": "1", "SANIC_HOST": "127.0.0.1",
}  # fmt: skip
_direct = build_opener(ProxyHandler({}))


def train(python: Path, models: Path, tell: Callable[[str], None]) -> Path:
    """The bot's model; trained again only if the bot has changed."""
    config, domain, *data = (BOT / name for name in ("config.yml", "domain.yml", "nlu.yml", "rules.yml"))
    model = models / f"bot-{fingerprint([config, domain, *data])}.tar.gz"
    if model.is_file():
        return model
    tell("training the bot (20 s)")
    models.mkdir(parents=True, exist_ok=True)
    command = [str(python), "-m", "rasa", "train", "--config", str(config), "--domain", str(domain),
               "--data", *map(str, data), "--out", str(models), "--fixed-model-name", "training"]  # fmt: skip
    env = _environment(RASA_CACHE_DIRECTORY=str(models / "cache"))
    done = subprocess.run(
        command, cwd=models, env=env, capture_output=True, text=True, timeout=TRAIN_S, check=False
    )
    if done.returncode:
        raise SetUpError("rasa train failed:\n" + "\n".join((done.stdout + done.stderr).splitlines()[-15:]))
    return (models / "training.tar.gz").rename(model)


@dataclass
class Process:
    """A server: a command, the page that answers when it is ready, and where it writes."""

    name: str
    command: Sequence[str]
    url: str
    ready: str
    log: Path
    environment: dict[str, str] = field(default_factory=dict)
    running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.running = subprocess.Popen(
                list(self.command), cwd=self.log.parent, env=_environment(**self.environment),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def wait(self) -> None:
        """Until it answers. Raises `SetUpError` with the end of its log."""
        until_s = time.monotonic() + START_S
        while not _answers(self.url + self.ready):
            dead = self.running is None or self.running.poll() is not None
            if dead or time.monotonic() > until_s:
                end = "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])
                how = "ended" if dead else f"gave no answer in {START_S} s"
                raise SetUpError(f"{self.name} {how}; {self.log} says:\n{end}")
            time.sleep(0.1)

    def stop(self) -> None:
        """It and what it started."""
        process = self.running
        if process is None:
            return
        for sign in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(process.pid, sign)
                process.wait(STOP_S)
                break
            except subprocess.TimeoutExpired:
                continue
            except ProcessLookupError:
                break
        self.running = None


@dataclass
class Servers:
    entrain: Process
    actions: Process
    rasa: Process

    @property
    def told(self) -> dict[str, dict[str, Any]]:
        """Where they are, for programs."""
        return {
            name: {
                "url": one.url,
                "pid": one.running.pid if one.running else None,
                "command": list(one.command),
            }
            for name, one in (("entrain", self.entrain), ("actions", self.actions), ("rasa", self.rasa))
        }


@contextmanager
def running(
    entrain_python: Path, rasa_python: Path, model: Path, folder: Path, rasa_options: Sequence[str] = ()
) -> Iterator[Servers]:
    """All three, ready; logs and the conversations' store go into `folder`."""
    logs = folder.resolve() / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    for name in ("credentials.yml", "endpoints.yml", "actions.py"):
        shutil.copy(BOT / name, logs / name)  # rasa-sdk imports its actions from where it is started
    ports = free_ports(3)
    urls = [f"http://127.0.0.1:{port}" for port in ports]
    env = {"ENTRAIN_URL": urls[0], "ACTION_URL": f"{urls[1]}/webhook"}
    servers = Servers(
        Process("entrain serve", [str(entrain_python), "-m", "entrain", "serve", "--port", str(ports[0]), "--store",
                str(folder.resolve() / "talks.sqlite")], urls[0], "/healthz", logs / "entrain.log"),
        Process("the action server", [str(rasa_python), "-m", "rasa_sdk", "--actions", "actions", "--port", str(ports[1])],
                urls[1], "/health", logs / "actions.log"),
        Process("rasa run", [str(rasa_python), "-m", "rasa", "run", "--interface", "127.0.0.1", "--port", str(ports[2]),
                "--model", str(model), "--credentials", "credentials.yml", "--endpoints", "endpoints.yml", *rasa_options],
                urls[2], "/webhooks/entrain/", logs / "rasa.log", env),
    )  # fmt: skip
    with ExitStack() as stack:
        processes: list[Process] = [servers.entrain, servers.actions, servers.rasa]
        for process in processes:
            stack.callback(process.stop)
            process.start()
        for process in processes:
            process.wait()
        yield servers


def free_ports(n: int) -> list[int]:
    """Held together, so that no two are the same."""
    with ExitStack() as stack:
        places = [stack.enter_context(socket.socket()) for _ in range(n)]
        for place in places:
            place.bind(("127.0.0.1", 0))
        return [place.getsockname()[1] for place in places]


def get(url: str, read: Callable[[bytes], T]) -> T:
    with _direct.open(url, timeout=60) as answer:
        return read(answer.read())


def _answers(url: str) -> bool:
    try:
        with _direct.open(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False


def _environment(**more: str) -> dict[str, Any]:
    """Ours, less what points Python at another environment's packages."""
    mine = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")}
    return {**mine, **QUIET, **more}

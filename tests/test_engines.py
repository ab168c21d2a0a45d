"""Engines: what dies is made again elsewhere, nothing is lost or doubled, and only what kills its process fails."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from conftest import syllables

from entrain_training.corpora import Conversation, Spoken

pytest.importorskip("pyarrow", reason="pip install 'entrain[train]'")
psutil = pytest.importorskip("psutil")

from entrain_training.engines import EngineError, local, on_ray  # noqa: E402
from entrain_training.features import Settings  # noqa: E402
from entrain_training.parts import make, task_of  # noqa: E402
from entrain_training.prepare import prepare_conversations  # noqa: E402
from entrain_training.table import read_table  # noqa: E402

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="pip install 'entrain[ray]'")


@dataclass(frozen=True)
class Deadly(Spoken):
    """Whoever unpickles it dies on the spot."""

    def __reduce__(self) -> Any:
        return os._exit, (1,)


def talk(name: str, *turns: Spoken, path: Path | None = None) -> Conversation:
    turns = turns or tuple(
        Spoken("ab"[i % 2], 10.0 * i, 10.0 * i + 9, f"turn {i} of {name}") for i in range(6)
    )
    return Conversation("made", name, turns, {"a": (path, 0), "b": (path, 0)} if path else {})


def long_talks(folder: Path, n: int) -> list[Conversation]:
    """Each a minute of audio, a second's work."""
    path = syllables(4, 60.0).write(folder / "voice.wav")
    return [talk(f"talk{i}", path=path) for i in range(n)]


def here(tasks):
    return map(make, tasks)


def test_processes_give_what_one_process_gives(tmp_path):
    talks = [talk(f"talk{i}") for i in range(7)]
    prepare_conversations(talks, tmp_path / "one", engine=here)
    prepare_conversations(talks, tmp_path / "two", engine=partial(local, jobs=2))
    assert (tmp_path / "one" / "turns.parquet").read_bytes() == (
        tmp_path / "two" / "turns.parquet"
    ).read_bytes()


def test_a_conversation_that_kills_its_process_fails_alone(tmp_path):
    tasks = [task_of(talk(f"talk{i}"), Settings(), tmp_path) for i in range(5)]
    tasks.insert(2, task_of(talk("deadly", Deadly("a", 0, 1)), Settings(), tmp_path))
    made = {m.path: m for m in local(iter(tasks), jobs=2)}
    assert [bool(made[task.path].data) for task in tasks] == [True, True, False, True, True, True]
    assert "the process that measured it died twice" in made[tasks[2].path].failure.why


@pytest.mark.parametrize("noticed", [False, True])
def test_processes_that_are_killed_lose_nothing(tmp_path, noticed):
    talks, killed = long_talks(tmp_path, 6), []

    def kill_once(_: object) -> None:
        if not killed:
            killed.extend(p for p in psutil.Process().children() if "popen_loky" in " ".join(p.cmdline()))
            for process in killed:
                process.kill()
            time.sleep(0.5 * noticed)  # before more is given to them, or after

    summary = prepare_conversations(talks, tmp_path / "out", engine=partial(local, jobs=2), report=kill_once)
    assert killed
    assert summary["failed"] == []
    assert read_table(tmp_path / "out")["conv"].to_pylist() == [talk.id for talk in talks for _ in talk.turns]


def working(node: Any) -> Any:
    """A process of this Ray node that is in the middle of a conversation."""
    raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
    deadline_s = time.monotonic() + 20
    while time.monotonic() < deadline_s:
        for process in raylet.children(recursive=True):
            if process.cmdline()[:1] == ["ray::make"]:
                return process
    raise AssertionError("the node has nothing to do")


@needs_ray
@pytest.mark.slow
def test_a_ray_cluster_of_which_a_node_is_killed_gives_the_same_table(tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # this machine only: 127.0.0.1
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    import ray
    from ray.cluster_utils import Cluster

    watch = {
        "health_check_initial_delay_ms": 0,
        "health_check_period_ms": 300,
        "health_check_failure_threshold": 3,
    }
    head = {"num_cpus": 0, "include_dashboard": False, "_system_config": watch}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    alive: list[int] = []

    def kill_a_node(tally) -> None:
        if tally.n_conversations == 3:
            working(nodes[1]).kill()
            cluster.remove_node(nodes[1], allow_graceful=False)
        if tally.n_conversations == 10:
            alive.append(sum(node["Alive"] for node in ray.nodes()))

    talks = long_talks(tmp_path, 10)
    try:
        engine = partial(on_ray, address=cluster.address)
        summary = prepare_conversations(talks, tmp_path / "ray", engine=engine, report=kill_a_node)
    finally:
        cluster.shutdown()
    assert alive == [2]  # the head, which has no cores, and one worker
    assert summary["failed"] == []
    prepare_conversations(talks, tmp_path / "here", engine=here)
    assert (tmp_path / "ray" / "turns.parquet").read_bytes() == (
        tmp_path / "here" / "turns.parquet"
    ).read_bytes()


@needs_ray
@pytest.mark.slow
def test_a_ray_started_here_listens_on_the_loopback_only(tmp_path):
    (tmp_path / "t.csv").write_text("conv,speaker,start,end\none,a,0,1\none,b,1,2\n")
    command = [sys.executable, "-m", "entrain", "prepare", str(tmp_path / "t.csv"), str(tmp_path / "out")]
    options = ["--layout", "table", "--engine", "ray", "--jobs", "1", "--json"]
    heard: set[str] = set()
    process = subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True)
    while process.poll() is None:
        heard |= listening(process.pid)
        time.sleep(0.05)
    assert json.loads(process.communicate()[0])["n_turns"] == 2
    assert {ip.removeprefix("::ffff:") for ip in heard} == {"127.0.0.1"}


def listening(pid: int) -> set[str]:
    """The addresses where a process or its children wait for connections."""
    found: set[str] = set()
    with contextlib.suppress(psutil.Error):
        for process in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                sockets = process.net_connections("inet")
                found.update(s.laddr.ip for s in sockets if s.status == psutil.CONN_LISTEN)
    return found


@needs_ray
@pytest.mark.slow
def test_a_cluster_that_is_not_there_is_a_sentence():
    with pytest.raises(EngineError, match="Ray at nonsense can't be used"):
        list(on_ray(iter([]), address="nonsense"))

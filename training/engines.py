"""Where conversations are prepared: in processes on this machine, or on a Ray cluster. Both give the same parts, in any order."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from importlib import import_module
from itertools import islice
from typing import Any

from entrain.optional import require
from entrain_training.parts import Made, Task, failed, make

Engine = Callable[[Iterator[Task]], Iterator[Made]]

AHEAD = 2  # tasks in flight for each core: nobody waits, and a corpus of thousands of hours is not in memory
RETRIES = 3  # of a Ray task whose node died
IDLE_S = 60  # then a process ends, which it also does when nobody is left to end it


class EngineError(RuntimeError):
    """The engine can't work; the message says why and what to do."""


def local(tasks: Iterator[Task], jobs: int | None = None) -> Iterator[Made]:
    """In `jobs` processes (default: one a core). If one of them dies, what was in flight is made again one by one, so that
    only the conversation that kills its process fails."""
    jobs = jobs or cores()
    executor, flying = processes(jobs), dict[Future[Made], Task]()
    try:
        while True:
            for task in islice(tasks, AHEAD * jobs - len(flying)):
                flying[_submit(executor, task)] = task
            if not flying:
                return
            done = wait(flying, return_when=FIRST_COMPLETED).done
            if any(isinstance(future.exception(), BrokenProcessPool) for future in done):
                executor.shutdown(kill_workers=True)
                executor, suspects = processes(jobs), list(flying.values())
                flying.clear()
                yield from map(_alone, suspects)
                continue
            for future in done:
                del flying[future]
                yield future.result()
    finally:
        executor.shutdown(kill_workers=True)


def cores() -> int:
    return import_module("loky").cpu_count()


def processes(jobs: int) -> Any:
    """A pool of so many, each on one thread of its own: more would fight for the cores. Ctrl-C reaches all of them; this process ends them."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return import_module("loky").ProcessPoolExecutor(
        max_workers=jobs, timeout=IDLE_S, env=threads, initializer=signal.signal, initargs=(signal.SIGINT, signal.SIG_IGN)
    )  # fmt: skip


def _submit(executor: Any, task: Task) -> Future[Made]:
    try:
        return executor.submit(make, task)
    except RuntimeError as error:  # a process died since, and the executor has noticed
        future: Future[Made] = Future()
        future.set_exception(BrokenProcessPool(str(error)))
        return future


def _alone(task: Task) -> Made:
    executor = processes(1)
    try:
        return _submit(executor, task).result()
    except BrokenProcessPool:
        return failed(task, "the process that measured it died twice. Is there enough memory?")
    finally:
        executor.shutdown(kill_workers=True)


# --- Ray ----------------------------------------------------------------------------------------------------------------


def on_ray(tasks: Iterator[Task], jobs: int | None = None, address: str | None = None) -> Iterator[Made]:
    """As Ray tasks, one core each, on the cluster at `address`, whose nodes must have entrain installed and see the audio
    under the same paths. Without an address, on a Ray of `jobs` cores started here, which listens on the loopback only.

    A task whose node dies is done again elsewhere. Parts come back here to be written, so OUT need not be shared.
    """
    ray = _connect(jobs, address)
    remote, flying = ray.remote(max_retries=RETRIES)(make), dict[Any, Task]()
    try:
        while True:
            n_cores = max(1, int(ray.cluster_resources().get("CPU", 1)))
            for task in islice(tasks, max(0, AHEAD * n_cores - len(flying))):
                flying[remote.remote(task)] = task
            if not flying:
                return
            done, _ = ray.wait(list(flying), num_returns=1)
            yield _fetch(ray, done[0], flying.pop(done[0]))
    finally:
        ray.shutdown()


def _connect(jobs: int | None, address: str | None) -> Any:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # entrain doesn't phone home, nor does what it starts
    start: dict[str, Any] = {"address": address}
    if address is None:
        # Ray's switch for "this machine only", whatever the system: it takes 127.0.0.1.
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
        start = {"address": "local", "num_cpus": jobs or cores(), "include_dashboard": False}
    ray = require("ray", "pip install 'entrain[ray]'", EngineError)
    try:
        ray.init(**start, logging_level="warning", log_to_driver=False)
    except (OSError, ValueError, RuntimeError) as error:
        raise EngineError(f"Ray at {address or 'this machine'} can't be used: {error}") from error
    ip = ray.util.get_node_ip_address()
    if address is None and not ip.startswith("127."):
        ray.shutdown()
        raise EngineError(
            f"Ray, imported before entrain could set it up, listens on {ip}. Start it yourself and give its address."
        )
    return ray


def _fetch(ray: Any, reference: Any, task: Task) -> Made:
    try:
        return ray.get(reference)
    except ray.exceptions.RayError as error:
        cause = getattr(error, "cause", None) or error
        return failed(task, f"its Ray task failed ({type(cause).__name__}: {cause})")

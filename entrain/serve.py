"""Entrainment for hosts in other processes, and for a browser.

A host with its own ears, words or voice makes three calls a turn, the same three verbs as in Python: `user_turn` (hear), `agent_turn`
(plan, or say) and `spoke`: see `entrain.serve_rest`. Whole talks, microphone in and loudspeaker out, go over a WebSocket: see
`entrain.serve_live`. Requests of one conversation are done one after the other.
"""

from __future__ import annotations

import mimetypes
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path
from typing import Protocol

import anyio
import anyio.to_thread
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from entrain import __version__
from entrain.conversation import Entrainer
from entrain.guard import Guard
from entrain.limits import Limits, Refusal
from entrain.live import Ears
from entrain.metrics import Metrics
from entrain.responder import Responder
from entrain.serve_live import live
from entrain.serve_rest import rest
from entrain.sessions import Sessions, of

TIDY_S = 5
PAGE = Path(str(files("entrain"))) / "page"
CODES = {400: "bad_request", 404: "not_found", 405: "method", 413: "too_large", 422: "invalid"}


class Load(Protocol):
    """What a server needs, and loads when it starts."""

    def agent(self) -> Entrainer: ...

    def ears(self) -> Ears: ...

    def responder(self, conversation_id: str) -> Responder:
        """Who chooses the words in this conversation; called when its first live talk begins."""
        ...


def make_app(load: Load, limits: Limits = Limits()) -> FastAPI:
    """The ASGI application."""
    metrics = Metrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        agent, ears = await anyio.to_thread.run_sync(load.agent), await anyio.to_thread.run_sync(load.ears)
        app.state.sessions = sessions = Sessions(agent, limits, load.responder, metrics, ears)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_tidy, sessions)
            yield
            tasks.cancel_scope.cancel()
        await sessions.close()

    app = FastAPI(
        title="entrain", version=__version__, summary="Prosodic entrainment for spoken dialogue systems.",
        description=__doc__ or "", lifespan=lifespan, docs_url=None, redoc_url=None,
        license_info={"name": "GPL-3.0-or-later", "identifier": "GPL-3.0-or-later"},
    )  # fmt: skip
    app.include_router(rest)
    app.include_router(live)
    mimetypes.add_type("text/javascript", ".js")  # some systems say text/plain, which browsers refuse
    app.mount("/", StaticFiles(directory=PAGE, html=True, check_dir=False))
    _protect(app, limits, metrics)
    return app


def _protect(app: FastAPI, limits: Limits, metrics: Metrics) -> None:
    app.add_exception_handler(Refusal, _refusal)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Exception, _bug)
    names = [path.name for path in PAGE.iterdir()] if PAGE.is_dir() else []
    public = frozenset(["/", "/healthz", *(f"/{name}" for name in names)])
    app.add_middleware(Guard, limits=limits, public=public, refused=metrics.refused)
    if limits.origins:
        app.add_middleware(
            CORSMiddleware, allow_origins=sorted(limits.origins), allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["Authorization", "Content-Type"],
        )  # fmt: skip


async def _tidy(sessions: Sessions) -> None:
    while True:
        sessions.tidy()
        await anyio.sleep(TIDY_S)


# --- errors: one shape for all ------------------------------------------------------------------------------------


def problem(status: int, code: str, message: str) -> JSONResponse:
    return JSONResponse(Refusal(status, code, message).body, status)


async def _refusal(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Refusal)
    of(request).metrics.refused(error.code)
    return JSONResponse(error.body, error.status)


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    answer = problem(error.status_code, CODES.get(error.status_code, "error"), str(error.detail))
    answer.headers.update(error.headers or {})
    return answer


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    """What was wrong, and where; not what was sent."""
    assert isinstance(error, RequestValidationError)
    wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
    return problem(422, "invalid", wrong)


async def _bug(request: Request, error: Exception) -> JSONResponse:
    return problem(500, "bug", "That should not have happened; the server's log says more.")

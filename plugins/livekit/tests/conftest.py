"""One agent for all: its process takes a second to start."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from entrain import Entrainer


@pytest.fixture(scope="session")
def agent() -> Generator[Entrainer]:
    with Entrainer.load(strategy="weighted", recogniser=None) as agent:
        yield agent

"""What the tests share: an agent, whose strategy a person is, and somebody's speech."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("pipecat_entrain", reason="pip install -e plugins/pipecat")

from pipecat_host import RATE_HZ, Host, another

from entrain import Audio, Entrainer
from entrain.strategy import WizardOfOz


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: takes about ten seconds; leave out with -m 'not slow'")


@pytest.fixture(scope="session")
def usual() -> Iterator[Entrainer]:
    with Entrainer.load(recogniser=None) as agent:
        yield agent


@pytest.fixture
def wizard(usual: Entrainer) -> WizardOfOz:
    strategy = WizardOfOz()
    strategy.set(rate_syll_s=1.0)
    return strategy


@pytest.fixture
def host(usual: Entrainer, wizard: WizardOfOz) -> Host:
    return Host(another(usual, wizard).conversation())


@pytest.fixture(scope="session")
def speech(usual: Entrainer) -> Audio:
    return usual.tts.synthesise("When do you open today?").audio.resample(RATE_HZ)

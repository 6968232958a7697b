"""What the tests of the command line share: typing a command, and a network of a user."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from typer.testing import CliRunner, Result
from user_net import NET

from prunus.cli import steps
from prunus.cli.app import app
from prunus.cost import measure_latencies
from prunus.records import Latency

collect_ignore = ["conftest.py"]  # it holds no doctests, and its name is not unique

Typed: TypeAlias = Callable[..., Result]


@pytest.fixture(scope="module", autouse=True)
def quick_timing() -> Iterator[None]:
    """Time five passes: no test looks at how long they take."""

    def measured(models: Any, inputs: Any, **settings: Any) -> tuple[Latency, ...]:
        threads = settings.get("threads")
        return measure_latencies(models, inputs, runs=5, warmup=0, threads=threads)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(steps, "measure_latencies", measured)
        patch.setenv("COLUMNS", "80")
        yield


@pytest.fixture(scope="session")
def run() -> Typed:
    """Type a command, and return how it ended."""
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def refused(run: Typed) -> Callable[..., str]:
    """Type a command that ends with an error of prunus; return what it says."""

    def message(*words: object) -> str:
        result = run(*words)
        assert (result.exit_code, result.stdout) == (1, ""), result.output
        assert isinstance(result.exception, SystemExit), result.exception
        assert result.stderr.startswith("error: ")
        return result.stderr

    return message


@pytest.fixture
def net(own_folder: None) -> str:
    """The network of a user, as it is typed."""
    Path("net.py").write_text(NET, encoding="utf-8")
    return "net.py:build"


@pytest.fixture
def saved(run: Typed, net: str) -> Callable[[str], str]:
    """Prune the user's network to a budget, and return the folder."""

    def prune(budget: str) -> str:
        result = run("prune", net, "--budget", budget, "--out", "small")
        assert result.exit_code == 0, result.output
        return "small"

    return prune

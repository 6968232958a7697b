"""Run a function in a process of its own, so that a crash or a hang is one row and not the end."""

import json
import os
import signal
import traceback
from collections.abc import Callable
from tempfile import TemporaryFile
from typing import Any

Row = dict[str, Any]


def isolated(function: Callable[[], Row], *, seconds: int) -> Row:
    """Return what `function` returns in a fork of this process, or a row that says why not.

    Args:
        function: Returns plain JSON.
        seconds: CPU time after which the fork is killed.
    """
    with TemporaryFile("w+") as answer:
        child = os.fork()
        if child == 0:
            _run(function, answer.fileno(), seconds)
        _, status = os.waitpid(child, 0)
        answer.seek(0)
        text = answer.read()
    if os.WIFSIGNALED(status):
        killed = signal.Signals(os.WTERMSIG(status)).name
        late = killed in {"SIGXCPU", "SIGKILL", "SIGALRM"}
        return {
            "verdict": "error",
            "message": f"more than {seconds} s" if late else f"killed by {killed}",
        }
    return json.loads(text)


def _run(function: Callable[[], Row], answer: int, seconds: int) -> None:
    """Write the row of `function` to the file `answer` and end this process."""
    import resource

    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
    signal.alarm(6 * seconds)  # what hangs without using the processor
    try:
        row = function()
    except BaseException as error:  # noqa: BLE001 - any failure of a network is a row
        row = {
            "verdict": "error",
            "error": type(error).__name__,
            "message": " ".join(str(error).split())[:800],
            "where": [line.strip() for line in traceback.format_exc().splitlines()[-9:-1]],
        }
    os.write(answer, json.dumps(row).encode())
    os._exit(0)

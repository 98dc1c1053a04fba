"""A kubelet's decisions, asked of hack/kubelet-oracle line by line."""

from __future__ import annotations

import selectors
import subprocess
from pathlib import Path
from types import TracebackType
from typing import IO, cast

import msgspec

# The longest honest answer takes some seconds, on 16 NUMA nodes, and minutes where the machine has other work to do.
_PATIENCE_S = 300.0


class Oracle:
    """A running oracle; one that does not answer is ended, and another one started for the next question."""

    def __init__(self, program: Path) -> None:
        self._program = program
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Oracle:
        """Start nothing yet: the first question does."""
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        """End the program."""
        self._end()

    def ask(self, question: object, *, patience_s: float = _PATIENCE_S) -> dict[str, object] | None:
        """Return the answer to a question, None where it does not come; raises OSError where the oracle fails."""
        process = self._started()
        questions, answers = cast("IO[bytes]", process.stdin), cast("IO[bytes]", process.stdout)
        questions.write(msgspec.json.encode(question) + b"\n")
        questions.flush()
        with selectors.DefaultSelector() as selector:
            selector.register(answers, selectors.EVENT_READ)
            if not selector.select(patience_s):
                self._end()
                return None
        line = answers.readline()
        if not line:
            raise OSError(f"{self._program} ended with status {process.wait()}")
        return msgspec.json.decode(line, type=dict[str, object])

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            self._process = subprocess.Popen((str(self._program),), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        return self._process

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

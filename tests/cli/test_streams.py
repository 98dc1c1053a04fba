"""Standard streams that were closed before the launcher began: nothing else takes their numbers."""

from __future__ import annotations

import subprocess
import sys

OPENED = """
import os
from launcher.cli.streams import open_missing_streams

open_missing_streams()
reader, writer = os.pipe()
same = all(os.path.samestat(os.fstat(number), os.stat(os.devnull)) for number in (0, 1, 2))
os._exit(0 if same and min(reader, writer) > 2 else 1)
"""


def test_a_closed_stream_is_the_null_device_and_no_pipe() -> None:
    words = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", sys.executable, "-c", OPENED]
    assert subprocess.run(words, check=False).returncode == 0

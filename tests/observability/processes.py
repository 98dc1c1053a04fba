"""A process that looks like QEMU to whoever looks at /proc: its threads' names, its affinities, its command line."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

UUID = "6b2e3b1c-0d3d-4c9e-9c53-1a2b3c4d5e6f"

# Arguments: NAME=CPULIST of each thread, the first one being the main thread's; then what QEMU has there, too.
_QEMU = """
import os, sys, threading
def place(word):
    name, _, cpus = word.partition("=")
    tid = threading.get_native_id()
    open(f"/proc/self/task/{tid}/comm", "w").write(name)
    os.sched_setaffinity(tid, {int(cpu) for cpu in cpus.split(",")})
def live(word):
    place(word)
    ready.release()
    threading.Event().wait()
words = sys.argv[1:sys.argv.index("-uuid")]
ready = threading.Semaphore(0)
place(words[0])
for word in words[1:]:
    threading.Thread(target=live, args=(word,), daemon=True).start()
    ready.acquire()
print("ready", flush=True)
sys.stdin.read()
"""


@contextmanager
def qemu_like(*threads: str, uuid: str = UUID, root: Path = Path("/nowhere")) -> Iterator[int]:
    """Run such a process, of the launcher over this root; yields its pid."""
    key = root / "lib/qemu/domain-1-prod_db/master-key.aes"
    command = [sys.executable, "-S", "-c", _QEMU, *threads, "-uuid", uuid, "-object", f"secret,file={key}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "ready\n"
        try:
            yield process.pid
        finally:
            process.stdin.close()
            process.wait(30)

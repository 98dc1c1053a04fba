"""The reaper, in a process of its own: what it reaps, what it leaves to others, and what it can tell."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parent.parent.parent

PRELUDE = """
import os, signal, subprocess, sys, tempfile, time, uuid
from launcher.hypervisor.process import find_qemu
from launcher.supervise import children
children.FORSAKEN_S = float(sys.argv[1])
children.EXPLANATION_S = 30.0
reaper = children.ChildReaper()
SLEEP = "import time; time.sleep(60)"

def start_daemon(name, program=SLEEP):
    # Two forks and a session between them, as QEMU's -daemonize and libvirt do it.
    code = "import os, sys\\nos.setsid()\\nif os.fork(): os._exit(0)\\nos.execv(sys.executable, sys.argv[1:])"
    command = [sys.executable, "-c", code, sys.executable, "-c", program, "-uuid", name]
    subprocess.run(command, check=True)
    while True:
        try:
            return find_qemu(name)
        except Exception:
            time.sleep(0.01)

def wait_until(condition):
    ends = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < ends, "it did not come about"
        time.sleep(0.01)
"""

DAEMON = """
process = start_daemon(str(uuid.uuid4()))
children.kill(process)
ends = []
children.wait_for_end(process, reaper, ends.append)
children.kill(process)
print(ends, os.path.exists(f"/proc/{process.pid}"))
"""

LEADERLESS = """
# As QEMU does when it is killed on a busy machine: its first thread has ended, others have not yet. A process has no
# command line any more by then, so that this one waits until it was found.
sought = tempfile.mkdtemp()
ends_first = f'''
import ctypes, os, threading, time
threading.Thread(target=time.sleep, args=(60,)).start()
while os.path.exists({sought!r}):
    time.sleep(0.01)
ctypes.CDLL(None).pthread_exit(None)
'''
process = start_daemon(str(uuid.uuid4()), ends_first)
os.rmdir(sought)
wait_until(lambda: reaper._read_stat(process.pid)[0] == "Z")
subprocess.run(["true"])
time.sleep(0.5)
children.kill(process)
ends = []
children.wait_for_end(process, reaper, ends.append)
print(ends, os.path.exists(f"/proc/{process.pid}"))
"""

ORPHANS = """
processes = [start_daemon(str(uuid.uuid4())) for _ in range(5)]
for process in processes:
    os.kill(process.pid, signal.SIGTERM)
wait_until(lambda: not any(os.path.exists(f"/proc/{process.pid}") for process in processes))
print("reaped")
"""

OWN_CHILD = """
child = subprocess.Popen([sys.executable, "-c", "raise SystemExit(7)"])
leader = subprocess.Popen([sys.executable, "-c", "raise SystemExit(8)"], start_new_session=True)
time.sleep(1)
print(child.wait(), leader.wait())
"""

FORSAKEN = """
pid = os.fork()
if not pid:
    os._exit(0)
wait_until(lambda: not os.path.exists(f"/proc/{pid}"))
print("reaped")
"""

STRANGER = """
print(reaper.wait_status(2 ** 22 + 1))
"""


@pytest.mark.parametrize(
    ("program", "forsaken_s", "wanted"),
    [
        (DAEMON, 60.0, "[9] False"),
        (LEADERLESS, 60.0, "[9] False"),
        (ORPHANS, 60.0, "reaped"),
        (OWN_CHILD, 60.0, "7 8"),
        (FORSAKEN, 0.2, "reaped"),
        (STRANGER, 60.0, "None"),
    ],
    ids=[
        "the end of a daemon is told with its signal, and nothing is left of it",
        "a daemon whose first thread has ended before the others has not ended yet",
        "every daemon is reaped",
        "a child that somebody waits for is left to him",
        "a child that nobody waits for is reaped in the end",
        "of a process that is no child nothing is claimed",
    ],
)
def test_the_reaper(program: str, forsaken_s: float, wanted: str) -> None:
    # From 3.12 on Python warns of the fork of a process with threads, which is what some of these programs are about.
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", PRELUDE + program, str(forsaken_s)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=CHECKOUT, timeout=60)
    assert (result.stdout.strip(), result.stderr) == (wanted, "")

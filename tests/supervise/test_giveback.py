"""What a launcher gives back once its guest runs: the pages of its program files, and nothing that anybody wrote."""

from __future__ import annotations

import subprocess
import sys

import msgspec

# Reads its own memory before and after: what lies in files, what is its own, and what of that was written to mappings
# of files. Then it shows that everything still works, for which what the linker filled in has to be there.
_PROGRAM = """
import json, ssl, sys, threading
import libvirt, lxml.etree
from launcher.supervise.giveback import give_back

def memory():
    status = dict(line.split(":") for line in open("/proc/self/status").read().splitlines())
    written = is_file = 0
    for line in open("/proc/self/smaps"):
        field, *values = line.split()
        if not field.endswith(":"):
            is_file = values[-1].startswith("/")
        elif field == "Anonymous:" and is_file:
            written += int(values[0])
    return {"files": int(status["RssFile"].split()[0]), "own": int(status["RssAnon"].split()[0]), "written": written}

def use():
    assert lxml.etree.fromstring("<a><b/></a>").find("b") is not None
    assert ssl.create_default_context() is not None
    connection = libvirt.open("test:///default")
    assert connection.listAllDomains()[0].XMLDesc().startswith("<domain")

use()
found = [memory()]
give_back()
found.append(memory())
users = [threading.Thread(target=use) for _ in range(4)]
for user in users:
    user.start()
for _ in range(20):
    give_back()
for user in users:
    user.join()
print(json.dumps(found))
"""


def test_a_program_that_has_given_back_has_half_of_its_files_at_most_and_goes_on() -> None:
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    before, after = msgspec.json.decode(done.stdout, type=tuple[dict[str, int], dict[str, int]])
    assert after["files"] < before["files"] / 2
    assert after["own"] < before["own"] + 256
    assert after["written"] >= before["written"] > 0

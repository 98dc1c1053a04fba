"""What a launcher gives back once its guest runs: the pages of its program files, and nothing that anybody wrote."""

from __future__ import annotations

import subprocess
import sys

from launcher.supervise.thrift import file_pages

_SMAPS = """\
55d0c0000000-55d0c0010000 r--p 00000000 fe:01 77                         /usr/bin/program
Size:                 64 kB
Rss:                  64 kB
Anonymous:             0 kB
VmFlags: rd mr mw me sd
55d0c0010000-55d0c0030000 r-xp 00010000 fe:01 77                         /usr/bin/program
Rss:                 128 kB
Anonymous:             0 kB
55d0c0030000-55d0c0032000 r--p 00030000 fe:01 77                         /usr/bin/program
Rss:                   8 kB
Anonymous:             8 kB
55d0c0032000-55d0c0033000 rw-p 00032000 fe:01 77                         /usr/bin/program
Rss:                   4 kB
Anonymous:             0 kB
55d0c1000000-55d0c1100000 rw-p 00000000 00:00 0                          [heap]
Anonymous:           400 kB
7f0000000000-7f0000100000 r--p 00000000 00:00 0
Anonymous:             0 kB
7f0000200000-7f0000300000 r--s 00000000 fe:01 78                         /usr/lib/cache with a space
Anonymous:             0 kB
7f0000400000-7f0000401000 r--p 00000000 fe:01 79                         /usr/lib/a library.so (deleted)
Anonymous:             0 kB
7fff00000000-7fff00002000 r-xp 00000000 00:00 0                          [vdso]
Anonymous:             0 kB
"""

# Reads its own memory before and after, and shows that everything still works, the linker's relocations among it.
_PROGRAM = """
import ssl, sys
import libvirt, lxml.etree
from launcher.supervise.thrift import give_back

def resident():
    fields = dict(line.split(":") for line in open("/proc/self/status").read().splitlines())
    return [int(fields[name].split()[0]) for name in ("RssFile", "RssAnon")]

before = resident()
give_back()
after = resident()
assert lxml.etree.fromstring("<a><b/></a>").find("b") is not None
assert ssl.create_default_context().get_ca_certs() is not None
connection = libvirt.open("test:///default")
assert connection.listAllDomains()[0].XMLDesc().startswith("<domain")
print(*before, *after)
"""


def test_pages_of_files_that_nobody_wrote_to_are_let_go() -> None:
    assert list(file_pages(_SMAPS.splitlines(keepends=True))) == [
        (0x55D0C0000000, 0x10000),
        (0x55D0C0010000, 0x20000),
        (0x7F0000400000, 0x1000),
    ]


def test_a_program_that_has_given_back_holds_half_of_its_files_at_most_and_goes_on() -> None:
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    files_before, anonymous_before, files_after, anonymous_after = map(int, done.stdout.split())
    assert files_after < files_before / 2
    assert anonymous_after < anonymous_before + 256

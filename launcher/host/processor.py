"""What the processor of the host is, as far as a guest's CPU depends on it.

AMD's processors, and Hygon's after them, tell of a core's threads in a part of CPUID that QEMU shows a guest only where
the feature topoext is asked for. /sys/devices/system/cpu/modalias holds vendor and features of an x86 processor in one
short line: ven0002 is AMD and ven0009 Hygon (arch/x86/include/asm/processor.h), 00D6 is topoext (cpufeatures.h).
"""

from __future__ import annotations

import re

from launcher.host.tree import Tree

_MODALIAS = "sys/devices/system/cpu/modalias"
_TOPOEXT = re.compile(r"^cpu:type:x86,ven(?:0002|0009)fam.*:feature:(?:.*,)?00D6,", re.ASCII)


def needs_topoext(tree: Tree) -> bool:
    """Tell whether guests see the threads of their cores only with the feature topoext, and can have it."""
    return _TOPOEXT.search(tree.read(_MODALIAS) or "") is not None

"""What is not loaded: by the process that watches over the guest for months, and by a verb for one plain manifest."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.qemu.guests import CHECKOUT, environment_of_a_checkout

# The parser of the command line, the reader of YAML, the schema, the XML library and all that works on a whole guest
# are the workshop's, and so is the planner until a cpuset changes; OpenSSL and compressors are for rare events, tables
# for people.
_HEAVY = (
    *("lxml", "yaml", "launcher.vmi.schema", "hashlib", "shutil", "ssl", "pycdlib", "prometheus_client"),
    *("argparse", "locale", "launcher.cli.arguments"),
    *("launcher.vmi.guest", "launcher.domain.blueprint", "launcher.storage.layout", "launcher.network.forwards"),
    *("launcher.planner.plan", "launcher.planner.optimum", "launcher.planner.replan", "launcher.host.sysfs"),
    *("launcher.kubelet", "launcher.cli.devices", "launcher.cli.evidence", "launcher.observe.tables"),
)
_PROGRAM = """\
import sys, launcher.entry, launcher.cli.run, launcher.cli.entrypoint, launcher.cli.life, launcher.cli.assign
print(*set(sys.argv[1:]) & set(sys.modules))
"""


@pytest.mark.parametrize("name", _HEAVY)
def test_the_launchers_own_process_does_not_load(name: str) -> None:
    words = [sys.executable, "-c", _PROGRAM, name]
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip() == ""


# The search is for guests with CPUs of their own; the rest is for devices, captures, notices, instancetypes, networks.
_UNUSED = (
    "launcher.planner.optimum",
    "launcher.host.capture",
    "launcher.instancetype",
    "launcher.network.attach",
    "launcher.cli.devices",
    "launcher.observe",
    "logging",
    "pycdlib",
    "libvirt",
)


def test_render_loads_nothing_that_a_plain_manifest_does_not_use() -> None:
    manifest = str(CHECKOUT / "templates/examples/smallest.yaml")
    words = [sys.executable, "-X", "importtime", "-m", "launcher", "render", manifest, "--host", "core:2 pu:1"]
    told = subprocess.run(words, capture_output=True, text=True, check=True, env=environment_of_a_checkout()).stderr
    loaded = {line.rpartition("|")[2].strip() for line in told.splitlines() if line.startswith("import time:")}
    assert "launcher.domain.render" in loaded
    assert loaded & set(_UNUSED) == set()

"""A guest behind passt, where libvirt has it (from 9.1 on): reached on the ports that are named, its passt confined."""

from __future__ import annotations

import os
import signal
import socket
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import libvirt
import pytest

from tests.processes import daemons_of
from tests.qemu.guests import Launcher, manifest

Launch = Callable[..., Launcher]

HAS_PASST = libvirt.getVersion() >= 9_001_000


def behind_passt(port: int) -> dict[str, Any]:
    """Return the manifest of a guest that answers on this port, which is the only one that leads to it."""
    vmi = manifest(cores=1, kernel_arguments=f"guest.serve={port}")
    vmi["spec"]["domain"]["devices"]["interfaces"] = [
        {"name": "pod", "passtBinding": {}, "ports": [{"port": port, "protocol": "TCP"}]}
    ]
    vmi["spec"]["networks"] = [{"name": "pod", "pod": {}}]
    return vmi


@pytest.fixture
def port() -> int:
    """A port that nobody listens on, and that needs no privilege."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number


def test_a_guest_behind_passt_answers_on_its_port_or_is_refused_by_name(
    launch: Launch, root: Path, port: int, two_cpus: tuple[int, int]
) -> None:
    launcher = launch(behind_passt(port))
    if not HAS_PASST:
        assert launcher.wait() == 7
        assert "passt" in launcher.lines[-1]
        return
    address = launcher.wait_for(rf"guest: address=\S+ port={port}").partition("address=")[2].split()[0]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/hello", timeout=30) as answer:
        assert answer.read().decode().strip() == address
    (passt,) = daemons_of(root, "passt")
    assert os.sched_getaffinity(passt) == {two_cpus[1]}
    launcher.signal(signal.SIGTERM)
    assert launcher.wait() == 0, launcher.output
    assert daemons_of(root, "passt") == []

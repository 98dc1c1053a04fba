"""A real guest on a network that Multus attached: a tap in the Pod, opened by a user without a capability."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.vmi.document import parse_document
from launcher.vmi.load import admitted
from tests.qemu.guests import Launcher, manifest

ENTER = Path(__file__).parent / "enter-attached"
USER = 107

# Devices and their owners are root's to make.
if os.geteuid() == 0:

    @pytest.fixture
    def folder() -> Iterator[Path]:
        """A folder that is the user's own, with a short path."""
        path = Path(tempfile.mkdtemp(prefix="vl-", dir="/tmp"))
        os.chown(path, USER, USER)
        yield path
        shutil.rmtree(path)

    def test_a_tap_that_multus_made_is_the_guests_card(folder: Path) -> None:
        vmi = manifest(cores=1, kernel_arguments="guest.exit=poweroff")
        vmi["spec"]["domain"]["devices"]["interfaces"] = [
            {"name": "blue", "bridge": {}, "macAddress": "52:54:00:aa:bb:01"}
        ]
        vmi["spec"]["networks"] = [{"name": "blue", "multus": {"networkName": "tenants/a-network-of-a-long-name"}}]
        path = folder / "vmi.json"
        path.write_text(json.dumps(vmi))
        (card,) = admitted(parse_document("test", path.read_bytes())).guest.peripherals.interfaces
        assert card.attachment is not None
        prefix = ("unshare", "--mount", "--net", str(ENTER), card.attachment.devices[0])
        homes = {"HOME": str(folder), "XDG_RUNTIME_DIR": str(folder)}
        launcher = Launcher(path, folder / "root", (), homes, prefix)
        try:
            assert launcher.wait() == 0, launcher.output
        finally:
            launcher.process.kill()
        assert "guest: net=eth0 mac=52:54:00:aa:bb:01" in launcher.output

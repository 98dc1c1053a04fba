"""What the image's base is made of, on either release of Debian."""

from __future__ import annotations

import pytest

from hack.images.base import packages
from launcher.storage.virtiofsd import PROGRAMS
from tests.qemu.guests import CHECKOUT


@pytest.mark.parametrize(
    ("release", "has_it"),
    [
        pytest.param({"ID": "debian", "VERSION_ID": "12"}, False, id="Debian 12, whose QEMU has one that needs root"),
        pytest.param({"ID": "debian", "VERSION_ID": "13"}, True, id="Debian 13"),
        pytest.param({"ID": "debian"}, True, id="a release that is not out yet"),
    ],
)
def test_a_virtiofsd_that_needs_no_privilege_is_in_it_where_there_is_one(release: dict[str, str], has_it: bool) -> None:
    assert ("virtiofsd" in packages(release)) is has_it


def test_trimming_leaves_virtiofsd_where_the_launcher_looks() -> None:
    trim = (CHECKOUT / "hack/images/trim-root").read_text()
    assert "keep usr/libexec virtiofsd\n" in trim
    assert "/usr/libexec/virtiofsd" in PROGRAMS

"""Whether the host's processor shows a guest its threads only with the feature topoext."""

from __future__ import annotations

import pytest

from launcher.host.capture import parse_capture
from launcher.host.processor import needs_topoext


@pytest.mark.parametrize(
    ("text", "needed"),
    [
        pytest.param("cpu:type:x86,ven0002fam0019mod0001:feature:,0000,00D6,00E0,", True, id="AMD"),
        pytest.param("cpu:type:x86,ven0009fam0018mod0001:feature:,00D6,", True, id="Hygon"),
        pytest.param("cpu:type:x86,ven0002fam0010mod0002:feature:,0000,00E0,", False, id="an AMD without it"),
        pytest.param("cpu:type:x86,ven0000fam0006mod008F:feature:,0000,00D6,", False, id="Intel"),
        pytest.param("cpu:type:aarch64:feature:,0000,00D6,", False, id="arm64"),
        pytest.param("", False, id="empty"),
    ],
)
def test_topoext_is_needed_on_amds_processors_that_have_it(text: str, needed: bool) -> None:
    tree = parse_capture(f"proc/sys/kernel/arch: x86_64\nsys/devices/system/cpu/modalias: {text}", "host")
    assert needs_topoext(tree) is needed


def test_a_host_that_says_nothing_needs_none() -> None:
    assert not needs_topoext(parse_capture("proc/sys/kernel/arch: x86_64", "host"))

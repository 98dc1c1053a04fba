"""The window above 4 GiB: as QEMU has it, as the host's devices want it, or none (kubevirt.io/disablePCIHole64)."""

from __future__ import annotations

from pathlib import Path

import pytest
from lxml import etree
from msgspec.structs import replace

from launcher.domain.blueprint import Blueprint
from launcher.domain.render import render
from launcher.vmi.load import admitted
from tests.domain.blueprints import BLUEPRINTS
from tests.vmi.manifests import document

TEMPLATES = Path(__file__).parents[2] / "templates/domain"
GIB = 1 << 30


def _hole(blueprint: Blueprint) -> str | None:
    template = (TEMPLATES / f"{blueprint.arch}.xml").read_bytes()
    domain = etree.fromstring(render(blueprint, template, "template"))
    return domain.findtext("devices/controller[@model='pcie-root']/pcihole64")


def _with_windows(*sizes: int) -> Blueprint:
    blueprint = BLUEPRINTS["host-devices-without-cells"]()
    devices = (replace(blueprint.devices[0], wide_bytes=sizes), *blueprint.devices[2:])
    return replace(blueprint, devices=devices)


@pytest.mark.parametrize(
    ("sizes", "hole"),
    [
        ((), None),
        ((32 * GIB,), None),
        ((32 * GIB, 32 << 20), 64 * GIB),
        ((64 * GIB,), 64 * GIB),
        ((128 * GIB,) * 8, 1024 * GIB),
        ((128 * GIB,) * 16, 2048 * GIB),
    ],
    ids=["no_window", "what_q35_has", "a_little_more", "one_of_64", "eight_gpus", "sixteen_gpus"],
)
def test_the_window_is_as_large_as_the_devices_want(sizes: tuple[int, ...], hole: int | None) -> None:
    assert _hole(_with_windows(*sizes)) == (None if hole is None else str(hole // 1024))


@pytest.mark.parametrize(("value", "hole"), [("true", "0"), ("True", "0"), ("false", None), ("", None)])
def test_there_is_no_window_where_the_annotation_says_so(value: str, hole: str | None) -> None:
    vmi = document({"metadata.annotations": {"kubevirt.io/disablePCIHole64": value}})
    guest = admitted(vmi, arch="x86_64").guest
    blueprint = BLUEPRINTS["smallest"]()
    assert _hole(replace(blueprint, guest=replace(blueprint.guest, board=guest.board))) == hole


def test_a_board_of_arm_has_none_to_shut() -> None:
    blueprint = BLUEPRINTS["aarch64"]()
    board = replace(blueprint.guest.board, without_wide_windows=True)
    assert _hole(replace(blueprint, guest=replace(blueprint.guest, board=board))) is None

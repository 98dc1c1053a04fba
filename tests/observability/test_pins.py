"""The configured pins, read from domain XML as libvirt writes it."""

from __future__ import annotations

import pytest

from launcher.cpuset import CPUSet
from launcher.domain.read import ConfiguredPins, read_pins, read_uuid

Pin = tuple[int, str | None]


def _pins(vcpus: list[Pin], emulator: str | None, iothreads: list[Pin]) -> ConfiguredPins:
    return ConfiguredPins(
        vcpus=tuple((number, _cpus(text)) for number, text in vcpus),
        emulator=_cpus(emulator),
        iothreads=tuple((number, _cpus(text)) for number, text in iothreads),
    )


def _cpus(text: str | None) -> CPUSet | None:
    return None if text is None else CPUSet.parse(text)


ROWS = {
    "nothing is pinned": ("<vcpu>2</vcpu>", _pins([(0, None), (1, None)], None, [])),
    "the cpuset of vcpu stands for all": (
        "<vcpu placement='static' cpuset='2-3'>2</vcpu><iothreads>1</iothreads>",
        _pins([(0, "2-3"), (1, "2-3")], "2-3", [(1, "2-3")]),
    ),
    "a pin goes before the cpuset": (
        "<vcpu cpuset='2-5'>2</vcpu><cputune><vcpupin vcpu='1' cpuset='4'/><emulatorpin cpuset='5'/></cputune>",
        _pins([(0, "2-5"), (1, "4")], "5", []),
    ),
    "only plugged vCPUs have threads": (
        "<vcpu current='1'>4</vcpu><cputune><vcpupin vcpu='0' cpuset='4'/><vcpupin vcpu='3' cpuset='7'/></cputune>",
        _pins([(0, "4")], None, []),
    ),
    "plugged vCPUs may have gaps": (
        "<vcpus><vcpu id='0' enabled='yes'/><vcpu id='1' enabled='no'/><vcpu id='2' enabled='yes'/></vcpus>",
        _pins([(0, None), (2, None)], None, []),
    ),
    "IOThreads without names are numbered from 1": (
        "<iothreads>2</iothreads><vcpu>1</vcpu><cputune><iothreadpin iothread='2' cpuset='1,5'/></cputune>",
        _pins([(0, None)], None, [(1, None), (2, "1,5")]),
    ),
    "named IOThreads keep their names": (
        "<iothreads>3</iothreads><iothreadids><iothread id='2'/><iothread id='9'/></iothreadids><vcpu>1</vcpu>",
        _pins([(0, None)], None, [(1, None), (2, None), (9, None)]),
    ),
    "a domain without vcpu has one": ("", _pins([(0, None)], None, [])),
}


@pytest.mark.parametrize(("inner", "expected"), ROWS.values(), ids=ROWS)
def test_pins_are_read(inner: str, expected: ConfiguredPins) -> None:
    assert read_pins(f"<domain type='kvm'><name>x</name>{inner}</domain>") == expected


def test_the_embedded_driver_s_record_is_a_domain_in_a_frame() -> None:
    record = (
        "<?xml version='1.0' encoding='UTF-8'?>\n<!-- WARNING -->\n"
        "<domstatus state='running' pid='7'><vcpus><vcpu id='0' pid='8'/></vcpus>"
        "<domain type='qemu' id='1'><uuid>u-u</uuid><vcpu cpuset='3'>1</vcpu></domain></domstatus>"
    )
    assert read_pins(record) == _pins([(0, "3")], "3", [])
    assert read_uuid(record) == "u-u"


WRONG = {
    "nothing": "",
    "no XML": "domain",
    "another document": "<network/>",
    "a pin that is no cpulist": "<domain><vcpu cpuset='a-b'>1</vcpu></domain>",
    "a number that is none": "<domain><vcpu>many</vcpu></domain>",
    "a pin of no vCPU": "<domain><cputune><vcpupin cpuset='1'/></cputune></domain>",
}


@pytest.mark.parametrize("text", WRONG.values(), ids=WRONG)
def test_what_is_no_domain_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the words are lxml's, Python's or the CPU set's
        read_pins(text)

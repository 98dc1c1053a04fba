"""Names, YAML and the overhead's items: what the Pod is made of."""

from __future__ import annotations

import re

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from launcher.errors import UsageError
from launcher.pod.names import bounded_name
from launcher.pod.options import PodOptions
from launcher.pod.overhead import memory_overhead
from launcher.pod.yaml_text import to_yaml
from launcher.vmi.guest import Disk, Firmware, Guest, GuestCPU, GuestMemory, IOThreadDemand, IOThreadsPolicy, Topology
from launcher.vmi.guest_machine import TPM, Interface, InterfaceBackend, Peripherals, Video, VideoModel
from launcher.vmi.guest_storage import EmptyDisk
from launcher.vmi.manifest import Value
from launcher.vmi.yamltree import read_trees

LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
LABELS = st.from_regex(r"\A[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\Z")

# What YAML's readers take for something else than text: booleans, numbers, null, dates, base 60, merge keys, aliases.
TRICKY = ["y", "n", "Yes", "off", "~", "null", "", "0o17", "017", "1_000", "0x1f", "1e3", "1:30", "2001-01-01", ".5",
          "<<", "=", "*a", "&a", "!x", "- a", "a: b", "a #b", " a", "a ", "{}", "[", "%", "@", "`", "|", ">", "\t", "é",
          "\n", "a\n", "\na", "a\n\n", "a \nb", "'", '"', "\\", "\x00", "\x7f", "\x85", "\u2028", "\ufeff", "---",
          "...", "--- a\n", "+.inf", ".nan", "0b11", "9" * 70, "\U0001f600"]  # fmt: skip
TEXTS = st.sampled_from(TRICKY) | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NUMBERS = st.integers(min_value=-(2**63), max_value=2**64 - 1) | st.booleans() | st.none()
VALUES: st.SearchStrategy[Value] = st.recursive(
    TEXTS | NUMBERS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=12,
)

SMALL = Guest(name="g", cpu=GuestCPU(topology=Topology(cores=2)), memory=GuestMemory(guest_bytes=1 << 30))
FIXED = {"launcher with libvirt's driver in it": 80, "QEMU without its guest": 30, "QEMU's worker threads": 8}
USUAL = {**FIXED, "page tables, QEMU's and KVM's": 4, "vCPUs: 2 x 8Mi": 16}


def with_devices(**devices: object) -> Guest:
    return replace(SMALL, peripherals=Peripherals(**devices))  # type: ignore[arg-type] # a table of keyword arguments


PASST = Interface(name="n", backend=InterfaceBackend.PASST)
SLIRP = Interface(name="m", backend=InterfaceBackend.SLIRP)
QCOW2 = Disk(name="a", path="/a.qcow2")
LAYER = Disk(name="b", volume=EmptyDisk(capacity_bytes=1))
POOL = IOThreadDemand(policy=IOThreadsPolicy.SUPPLEMENTAL_POOL, pool_count=3)
OVERHEADS = [
    ("a_small_guest", SMALL, USUAL),
    ("page_tables_rounded_up", replace(SMALL, memory=GuestMemory(guest_bytes=(1 << 30) + 1)),
     USUAL | {"page tables, QEMU's and KVM's": 5}),
    ("huge_pages_need_hardly_a_table",
     replace(SMALL, memory=GuestMemory(guest_bytes=1 << 30, huge_page_bytes=2 << 20)),
     USUAL | {"page tables, QEMU's and KVM's": 1}),
    ("an_iothread_pool", replace(SMALL, io_threads=POOL), USUAL | {"IOThreads: 3 x 8Mi": 24}),
    ("tables_of_qcow2_images", replace(SMALL, disks=(QCOW2, LAYER, Disk(name="c", path="/c.img"))),
     USUAL | {"tables of qcow2 images (2)": 33}),
    ("graphics", with_devices(video=Video(model=VideoModel.VGA)), USUAL | {"graphics card and VNC": 32}),
    ("a_tpm", with_devices(tpm=TPM()), USUAL | {"swtpm": 53}),
    ("passt_but_not_slirp", with_devices(interfaces=(PASST, SLIRP)), USUAL | {"passt: 1 x 72Mi": 72}),
    ("uefi", replace(SMALL, firmware=next(kind for kind in Firmware if kind is not Firmware.BIOS)),
     USUAL | {"UEFI and its variables": 8}),
    ("realtime", replace(SMALL, cpu=replace(SMALL.cpu, realtime_vcpus=frozenset({0, 1}))),
     USUAL | {"QEMU locked in memory: its code and all stacks": 100}),
    ("arm", replace(SMALL, arch="aarch64"), USUAL | {"flash of the board": 128}),
]  # fmt: skip

CHOICES = [
    ("an_image_with_a_space", {"image": "a b"}, "--image"),
    ("no_image", {"image": ""}, "--image"),
    ("a_resource_without_a_domain", {"kvm_resource": "kvm"}, "--kvm-resource"),
    ("a_resource_with_a_newline", {"kvm_resource": "a.b/kvm\n"}, "--kvm-resource"),
    ("a_ratio_of_nothing", {"vcpus_per_cpu": 0}, "--cpu-allocation-ratio"),
    ("a_cache_in_the_root", {"cache_folder": "/"}, "--cache-folder"),
    ("a_relative_cache", {"cache_folder": "cache"}, "--cache-folder"),
    ("a_cache_that_climbs", {"cache_folder": "/a/../b"}, "--cache-folder"),
    ("an_absolute_profile", {"seccomp_profile": "/a.json"}, "--seccomp-profile"),
    ("a_profile_that_climbs", {"seccomp_profile": "a/../../b.json"}, "--seccomp-profile"),
    ("no_profile", {"seccomp_profile": ""}, "--seccomp-profile"),
]


@given(st.lists(LABELS, min_size=1, max_size=3))
@settings(max_examples=300, deadline=None)
def test_a_name_is_a_dns_label(parts: list[str]) -> None:
    assert LABEL.fullmatch(bounded_name(*parts))


@given(LABELS, LABELS)
@settings(max_examples=300, deadline=None)
def test_different_guests_have_different_names(one: str, other: str) -> None:
    names = {bounded_name("virt-launcher", label) for label in (one, other)}
    assert len(names) == len({one, other})


def test_a_short_name_is_left_as_it_is() -> None:
    assert bounded_name("virt-launcher", "a" * 49) == f"virt-launcher-{'a' * 49}"
    assert len(bounded_name("virt-launcher", "a" * 50)) == 63


@given(VALUES)
@settings(max_examples=500, deadline=None)
def test_what_is_written_is_read_back_by_this_program(value: Value) -> None:
    (tree,) = read_trees(to_yaml({"value": value}))
    assert tree.value == {"value": value}


@given(VALUES)
@settings(max_examples=300, deadline=None)
def test_what_is_written_is_read_back_by_yaml_1_1(value: Value) -> None:
    assert yaml.safe_load(to_yaml({"value": value})) == {"value": value}


def test_lines_of_text_stay_lines() -> None:
    assert to_yaml({"a": "x: 1\ny: 2\n"}) == "a: |\n  x: 1\n  y: 2\n"


@pytest.mark.parametrize(("guest", "items"), [row[1:] for row in OVERHEADS], ids=[row[0] for row in OVERHEADS])
def test_the_overhead_of(guest: Guest, items: dict[str, int]) -> None:
    found = memory_overhead(guest, is_emulated=False)
    assert {item.what: item.mebibytes for item in found} == items


def test_emulation_costs_its_translated_code_and_saves_kvms_tables() -> None:
    plain = {item.what: item.mebibytes for item in memory_overhead(SMALL, is_emulated=False)}
    emulated = {item.what: item.mebibytes for item in memory_overhead(SMALL, is_emulated=True)}
    assert emulated.pop("QEMU's translated code (no KVM)") == 1024
    assert emulated.pop("page tables, QEMU's") * 2 == plain.pop("page tables, QEMU's and KVM's")
    assert emulated == plain


@pytest.mark.parametrize(("choices", "option"), [row[1:] for row in CHOICES], ids=[row[0] for row in CHOICES])
def test_a_choice_that_cannot_be_names_the_option(choices: dict[str, str | int], option: str) -> None:
    with pytest.raises(UsageError, match=f"^{option}: "):
        PodOptions(**{"image": "launcher:1", **choices})  # type: ignore[arg-type] # a table of keyword arguments

"""Any document at all is either a guest or refused with a fault: never another error, never a fault without words."""

from __future__ import annotations

import copy
import random

import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import Struct

from launcher.errors import InvalidVMI
from launcher.vmi.document import parse_document
from launcher.vmi.guest import Guest
from launcher.vmi.load import admitted
from launcher.vmi.manifest import Document, Value
from tests.vmi.machine_rows import EVERYTHING
from tests.vmi.manifests import EXAMPLES, manifest

SOURCES = [file.read_text() for file in sorted(EXAMPLES.iterdir())]
MANIFESTS: list[dict[str, Value]] = [parse_document("example", text.encode()).root for text in SOURCES]

# Text that has broken parsers, shells, XML and terminals before; a lone surrogate can come from JSON alone.
HOSTILE = [
    "", "\0", "a\0b", "\n", "a\nb", "\r", "\x1b[2J", "\x7f", "\x85", "\u2028", "'", '"', "'\"", "<", "&", "<![CDATA[",
    "]]>", "&amp;", "&#0;", "${HOME}", "$(id)", "`id`", ";", "|", "--help", "-", ",", "a,b=c", "..", "../..", "/",
    "//", "~", "\ud800", "a\udfffb", "\ufffe", "\uffff", "\U0010ffff", "\u202e", "\u0663", "yes", "null", "0x10", "-0",
    "1e999", "9" * 400, "x" * 5000, "%s", "{}", "json:{}", "nbd://host/", "a" * 63, "a" * 64, "1Gi", "-1", "0", "1.5",
    "1e3", "0-3", "^0", "0-8191",
]  # fmt: skip

texts = (
    st.sampled_from(HOSTILE) | st.text(max_size=20) | st.text(st.characters(categories=["Cs", "Cc", "Po"]), max_size=8)
)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
)  # fmt: skip
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


def _outcome(document: Document, arch: str = "x86_64") -> Guest | InvalidVMI:
    try:
        guest = admitted(document, arch=arch).guest
    except InvalidVMI as refusal:
        _assert_well_worded(refusal)
        return refusal
    _assert_sound(guest)
    return guest


def _assert_well_worded(refusal: InvalidVMI) -> None:
    assert refusal.faults
    for fault in refusal.faults:
        assert fault.message
        assert str(fault).isprintable(), fault
    assert len(refusal.faults) == len(set(refusal.faults))


def _assert_sound(guest: Guest) -> None:
    """Check what the planner and the renderer rely on."""
    assert 1 <= guest.cpu.topology.vcpus <= 4096
    assert guest.memory.guest_bytes >= 10**6
    assert guest.memory.guest_bytes % (guest.memory.huge_page_bytes or 1) == 0
    assert (guest.cpu.realtime_vcpus or frozenset()) <= set(range(guest.cpu.topology.vcpus))
    assert len({disk.name for disk in guest.disks}) == len(guest.disks)
    assert all((disk.path == "") == (disk.volume is not None) for disk in guest.disks)
    for text in _texts(guest):
        assert "\n" not in text
        assert "\0" not in text
        text.encode()


def _texts(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, tuple):
        return [text for inner in value for text in _texts(inner)]
    if isinstance(value, Struct):
        return [text for name in value.__struct_fields__ for text in _texts(getattr(value, name))]
    return []


def places_in(value: Value) -> list[tuple[dict[str, Value] | list[Value], str | int]]:
    """Return every place that a value lies in."""
    steps: list[tuple[str | int, Value]] = []
    if isinstance(value, dict):
        steps = list(value.items())
    elif isinstance(value, list):
        steps = list(enumerate(value))
    places: list[tuple[dict[str, Value] | list[Value], str | int]] = []
    for step, inner in steps:
        if isinstance(value, dict | list):
            places.append((value, step))
        places += places_in(inner)
    return places


def put_at(place: dict[str, Value] | list[Value], step: str | int, value: Value) -> None:
    if isinstance(place, dict):
        place[str(step)] = value
    else:
        place[int(step)] = value


@given(st.dictionaries(texts, values, max_size=5))
def test_any_mapping_is_a_guest_or_refused(root: dict[str, Value]) -> None:
    assert isinstance(_outcome(Document(source="x", root=root)), InvalidVMI)


@given(st.sampled_from(["VirtualMachineInstance", "VirtualMachine"]), values, values)
def test_any_mapping_of_the_right_kind_is_a_guest_or_refused(kind: str, spec: Value, metadata: Value) -> None:
    root: dict[str, Value] = {"apiVersion": "kubevirt.io/v1", "kind": kind, "metadata": metadata, "spec": spec}
    assert isinstance(_outcome(Document(source="x", root=root)), InvalidVMI)


@given(
    st.sampled_from([*MANIFESTS, manifest(), manifest(EVERYTHING)]),
    st.lists(st.tuples(st.integers(0, 10**6), values), min_size=1, max_size=4),
    st.sampled_from(["x86_64", "aarch64", "ppc64le"]),
)
def test_any_change_to_a_valid_manifest_is_a_guest_or_refused(
    root: dict[str, Value], changes: list[tuple[int, Value]], arch: str
) -> None:
    changed = copy.deepcopy(root)
    for index, value in changes:
        places = places_in(changed)
        put_at(*places[index % len(places)], copy.deepcopy(value))
    _outcome(Document(source="x", root=changed), arch)


@given(st.sampled_from([*MANIFESTS, manifest(), manifest(EVERYTHING)]), st.integers(0, 10**6), texts)
@example(MANIFESTS[0], 0, "\ud800")
def test_any_field_added_is_a_guest_or_refused(root: dict[str, Value], index: int, key: str) -> None:
    changed = copy.deepcopy(root)
    holders = [changed, *(inner for _, inner in _holders(changed))]
    holders[index % len(holders)][key] = {"a": [1]}
    _outcome(Document(source="x", root=changed))


def _holders(root: dict[str, Value]) -> list[tuple[str | int, dict[str, Value]]]:
    held = [(step, place[step]) for place, step in places_in(root) if isinstance(place, dict) and isinstance(step, str)]
    return [(step, inner) for step, inner in held if isinstance(inner, dict)]


@given(st.sampled_from(SOURCES), st.randoms(use_true_random=False), st.integers(1, 8))
def test_any_damage_to_the_text_is_a_guest_or_refused(text: str, chance: random.Random, count: int) -> None:
    data = bytearray(text.encode())
    for _ in range(count):
        start = chance.randrange(len(data))
        data[start : start + chance.randrange(4)] = bytes(
            chance.choices(b"\0\n\t :-[]{}&*!|>'\"%@`#?,.0aZ\xff\xc3", k=2)
        )
    try:
        document = parse_document("x", bytes(data))
    except InvalidVMI as refusal:
        _assert_well_worded(refusal)
        return
    _outcome(document)


@given(st.sampled_from(MANIFESTS), st.booleans(), st.booleans())
def test_a_manifest_means_the_same_in_every_style_of_yaml(root: dict[str, Value], flow: bool, sort: bool) -> None:
    text = yaml.safe_dump(root, default_flow_style=flow, sort_keys=sort)
    assert _outcome(parse_document("x", text.encode())) == _outcome(Document(source="x", root=root))


@given(texts)
def test_any_text_as_name_path_and_arguments_is_a_guest_or_refused(text: str) -> None:
    for places in (
        ["metadata.name"],
        ["spec.domain.devices.disks[0].name", "spec.volumes[0].name"],
        ["spec.volumes[0].hostDisk.path"],
        ["spec.domain.cpu.model"],
        ["spec.domain.machine.type"],
    ):
        _outcome(Document(source="x", root=manifest(dict.fromkeys(places, text))))
    _outcome(
        Document(
            source="x",
            root=manifest(
                {"spec.domain.firmware.kernelBoot": {"kernelArgs": text, "container": {"kernelPath": f"/{text}"}}}
            ),
        )
    )

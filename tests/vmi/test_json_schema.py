"""The JSON Schema: every example is valid by it, what is wrong is not, and it says what decoding says."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from launcher.cli import main
from launcher.vmi.decode import decode
from launcher.vmi.document import read_document
from launcher.vmi.json_schema import json_schema
from launcher.vmi.manifest import Value
from launcher.vmi.schema import VirtualMachine, VirtualMachineInstance
from tests.vmi.manifests import ABSENT, EXAMPLES, manifest

VALIDATOR = Draft7Validator(json_schema())
FILES = sorted(EXAMPLES.glob("*.yaml"))

WRONG = [
    ("a_misspelt_field", {"spec.domain.cpu.core": 2}, "core"),
    ("a_field_that_is_not_supported", {"spec.utilityVolumes": []}, "utilityVolumes"),
    ("text_for_a_number", {"spec.domain.cpu.cores": "2"}, "'2' is not of type 'integer'"),
    ("a_number_below_its_bound", {"spec.domain.cpu.cores": -1}, "minimum of 0"),
    ("a_number_above_its_bound", {"spec.domain.cpu.cores": 2**32}, "maximum of 4294967295"),
    ("a_boot_order_of_zero", {"spec.domain.devices.disks[0].bootOrder": 0}, "minimum of 1"),
    ("a_word_that_is_no_choice", {"spec.domain.ioThreadsPolicy": "many"}, "'many' is not one of"),
    ("a_quantity_with_a_strange_unit", {"spec.domain.memory.guest": "1GiB"}, "'1GiB' does not match"),
    ("a_mapping_for_a_list", {"spec.volumes": {}}, "{} is not of type 'array'"),
    ("a_list_for_a_mapping", {"metadata.labels": []}, "[] is not of type 'object'"),
    ("a_missing_field", {"spec.domain": ABSENT}, "'domain' is a required property"),
    ("a_volume_without_a_name", {"spec.volumes[0].name": ABSENT}, "'name' is a required property"),
    ("another_kind", {"kind": "Pod"}, "'Pod' is not one of"),
    ("another_version", {"apiVersion": "kubevirt.io/v2"}, "'kubevirt.io/v2' is not one of"),
    ("no_kind", {"kind": ABSENT}, "'kind' is a required property"),
]

RIGHT = [
    ("a_quantity_as_a_number", {"spec.domain.memory.guest": 1 << 30}),
    ("a_quantity_as_a_fraction", {"spec.domain.resources.requests": {"cpu": 0.5}}),
    ("what_only_the_scheduler_reads", {"spec.affinity": {"anything": [1, None]}}),
    ("a_status_from_the_cluster", {"status": {"phase": "Running"}}),
]


def messages(document: object) -> list[str]:
    return sorted(error.message for error in VALIDATOR.iter_errors(document))


def virtual_machine(instance: dict[str, Value]) -> dict[str, Value]:
    """Return the VirtualMachine whose template is this instance."""
    template: dict[str, Value] = {"metadata": {}, "spec": instance["spec"]}
    metadata = instance["metadata"]
    return {**instance, "kind": "VirtualMachine", "metadata": metadata, "spec": {"template": template}}


def test_it_is_a_schema_itself() -> None:
    Draft7Validator.check_schema(json_schema())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_example_is_valid(path: Path) -> None:
    document = read_document(str(path)).root
    assert messages(document) == []
    assert messages(virtual_machine(document)) == []


@pytest.mark.parametrize(("changes", "message"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_it_refuses(changes: dict[str, object], message: str) -> None:
    (found,) = messages(manifest(changes))
    assert message in found


@pytest.mark.parametrize("changes", [row[1] for row in RIGHT], ids=[row[0] for row in RIGHT])
def test_it_takes(changes: dict[str, object]) -> None:
    assert messages(manifest(changes)) == []


def test_a_fault_in_a_template_is_told_where_it_lies() -> None:
    machine = virtual_machine(manifest({"spec.domain.cpu.cores": "2"}))
    (error,) = VALIDATOR.iter_errors(machine)
    assert list(error.absolute_path) == ["spec", "template", "spec", "domain", "cpu", "cores"]


def _places(value: Value, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    yield path
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in entries:
        yield from _places(inner, (*path, key))


def _mutated(document: dict[str, Value], path: tuple[str | int, ...], value: Value) -> dict[str, Value]:
    changed = copy.deepcopy(document)
    place: Value = changed
    for key in path[:-1]:
        place = cast("dict[str | int, Value]", place)[key]
    cast("dict[str | int, Value]", place)[path[-1]] = value
    return changed


VALUES: list[Value] = ["x", "1Gi", "1GiB", "", -1, 0, 1, 2**33, 1.5, True, False, [], {}, ["x"], [{}], {"x": 1}]


@given(st.sampled_from(FILES), st.data())
@settings(max_examples=400, deadline=None)
def test_it_says_what_decoding_says_of_a_mutated_example(path: Path, data: st.DataObject) -> None:
    document = read_document(str(path)).root
    places = [place for place in _places(document) if place and place != ("kind",)]
    changed = _mutated(document, data.draw(st.sampled_from(places)), data.draw(st.sampled_from(VALUES)))
    decoded = decode(changed, VirtualMachineInstance)
    assert bool(decoded.faults) is bool(messages(changed)), (decoded.faults, messages(changed))


def test_both_kinds_are_decoded_by_what_the_schema_describes() -> None:
    definitions = cast("dict[str, Value]", json_schema()["definitions"])
    assert {VirtualMachineInstance.__name__, VirtualMachine.__name__} <= set(definitions)


def test_every_structure_is_described_and_closed() -> None:
    definitions = cast("dict[str, dict[str, Value]]", json_schema()["definitions"])
    objects = {name: schema for name, schema in definitions.items() if schema.get("type") == "object"}
    assert len(objects) > 30
    assert [name for name, schema in objects.items() if schema["additionalProperties"] is not False] == []
    assert [name for name, schema in definitions.items() if not schema.get("description")] == []


def test_the_verb_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == json_schema()

"""Streams of documents and lists: which machine is meant, what came with it, and what is told where none is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from launcher.errors import InvalidVMI
from launcher.vmi.document import parse_document, read_document
from launcher.vmi.load import load_guest
from launcher.vmi.manifest import Choice, Companion, Document, Value
from launcher.vmi.other_kinds import advice_on
from tests.vmi.manifests import manifest


def _machine(name: str, namespace: str | None = None, kind: str = "VirtualMachineInstance") -> dict[str, Value]:
    metadata: dict[str, Value] = {"name": name, **({} if namespace is None else {"namespace": namespace})}
    return {"apiVersion": "kubevirt.io/v1", "kind": kind, "metadata": metadata}


def _object(kind: str, name: str = "other") -> dict[str, Value]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}}


def _list(*items: Value, kind: str = "List") -> dict[str, Value]:
    return {"apiVersion": "v1", "kind": kind, "items": list(items)}


def _stream(*documents: Value) -> bytes:
    return "---\n".join(f"{json.dumps(one)}\n" for one in documents).encode()


def _parsed(*documents: Value, name: str | None = None) -> Document:
    return parse_document("vm.yaml", _stream(*documents), Choice(name=name))


def _refusal(*documents: Value, name: str | None = None) -> str:
    with pytest.raises(InvalidVMI) as refusal:
        _parsed(*documents, name=name)
    return str(refusal.value)


def test_a_machine_among_other_objects_is_taken_with_them() -> None:
    secret, machine, claim = _object("Secret"), _machine("a"), _object("PersistentVolumeClaim")
    assert _parsed(secret, machine, claim) == Document(
        source="vm.yaml (line 3)",
        root=machine,
        companions=(
            Companion(source="vm.yaml (line 1)", root=secret),
            Companion(source="vm.yaml (line 5)", root=claim),
        ),
    )


def test_empty_documents_are_passed_over() -> None:
    machine = _machine("a")
    assert _parsed(None, machine, None) == Document(source="vm.yaml", root=machine)


def test_a_list_with_one_machine_is_taken() -> None:
    machine, secret = _machine("a"), _object("Secret")
    assert _parsed(_list(secret, machine)) == Document(
        source="vm.yaml (line 1, items[1])",
        root=machine,
        companions=(Companion(source="vm.yaml (line 1, items[0])", root=secret),),
    )


@pytest.mark.parametrize("kind", ["List", "VirtualMachineInstanceList", "VirtualMachineList"])
def test_a_list_of_any_kind_with_only_a_machine_is_taken(kind: str) -> None:
    assert _parsed(_list(_machine("a"), kind=kind)).root == _machine("a")


def test_a_list_in_a_list_is_taken() -> None:
    assert _parsed(_list(_list(_machine("a")))).source == "vm.yaml (line 1, items[0].items[0])"


def test_of_two_machines_the_one_that_is_named_is_taken_and_the_other_came_with_it() -> None:
    a, b = _machine("a"), _machine("b")
    assert _parsed(a, b, name="b").root == b
    assert _parsed(a, b, name="default/b").root == b
    assert [one.root for one in _parsed(a, b, name="b").companions] == [a]


def test_a_machine_is_named_by_what_stands_for_its_generate_name() -> None:
    machine = _machine("a") | {"metadata": {"generateName": "guest-"}}
    assert _parsed(_machine("b"), machine, name="guest").root == machine


NO_MACHINE = "holds no VirtualMachineInstance and no VirtualMachine, but"
REFUSED = [
    (
        "two_machines",
        [_machine("a"), _machine("b", "lab", "VirtualMachine")],
        None,
        "holds 2 machines; say which with --name: default/a (line 1), lab/b (line 3)",
    ),
    (
        "two_machines_of_a_list",
        [_list(_machine("a"), _machine("b"))],
        None,
        "holds 2 machines; say which with --name: default/a (line 1, items[0]), default/b (line 1, items[1])",
    ),
    (
        "two_machines_of_one_name_in_two_namespaces",
        [_machine("a"), _machine("a", "lab")],
        "a",
        "2 machines are called 'a'; wanted --name NAMESPACE/NAME of default/a (line 1), lab/a (line 3)",
    ),
    (
        "one_machine_twice",
        [_machine("a"), _machine("a", "default")],
        "default/a",
        "2 machines are called 'default/a'; take the others out: default/a (line 1), default/a (line 3)",
    ),
    (
        "a_name_that_nobody_has",
        [_machine("a"), _machine("b")],
        "c",
        "holds no machine called 'c', but default/a (line 1), default/b (line 3)",
    ),
    ("another_name_than_the_only_one", [_machine("a")], "c", "holds no machine called 'c', but default/a"),
    ("a_namespace_of_another", [_machine("a")], "lab/a", "holds no machine called 'lab/a', but default/a"),
    (
        "no_machine",
        [_object("Secret"), _object("Secret"), _object("A b")],
        None,
        "holds no VirtualMachineInstance and no VirtualMachine, but 2 Secret, 1 'A b'",
    ),
    (
        "a_pool_beside_a_secret",
        [_object("Secret"), _object("VirtualMachinePool")],
        None,
        f"{NO_MACHINE} 1 Secret, 1 VirtualMachinePool; a VirtualMachinePool {advice_on('VirtualMachinePool')}",
    ),
    ("a_list_of_nothing", [_list()], None, "holds no VirtualMachineInstance and no VirtualMachine, but 0 objects"),
    (
        "more_machines_than_anybody_reads",
        [_list(*(_machine(f"m{n}") for n in range(30)))],
        None,
        "holds 30 machines; say which with --name: "
        + ", ".join(f"default/m{n} (line 1, items[{n}])" for n in range(20))
        + ", and 10 more",
    ),
    (
        "text_in_a_list",
        [_list(_machine("a"), "b")],
        None,
        "line 1, items[1]: 'b' is not a mapping; wanted a VirtualMachineInstance",
    ),
]


@pytest.mark.parametrize(
    ("documents", "name", "message"), [row[1:] for row in REFUSED], ids=[str(row[0]) for row in REFUSED]
)
def test_a_stream_without_one_machine_that_is_meant_is_refused(
    documents: list[Value], name: str | None, message: str
) -> None:
    assert _refusal(*documents, name=name) == f"vm.yaml: {message}"


def test_a_fault_names_the_document_of_its_machine(tmp_path: Path) -> None:
    file = tmp_path / "vm.yaml"
    file.write_bytes(_stream(_object("Secret"), manifest({"spec.domain.cpu.cores": "x"})))
    with pytest.raises(InvalidVMI) as refusal:
        load_guest(str(file))
    assert str(refusal.value) == f"{file} (line 3): spec.domain.cpu.cores: 'x' is not a positive integer"


def test_a_machine_of_a_stream_makes_the_same_guest_as_alone(tmp_path: Path) -> None:
    alone, stream, listed = (tmp_path / name for name in ("alone.yaml", "stream.yaml", "list.yaml"))
    alone.write_bytes(_stream(manifest()))
    stream.write_bytes(_stream(_object("ConfigMap"), manifest(), _object("Service")))
    listed.write_bytes(_stream(_list(_object("ConfigMap"), manifest())))
    assert load_guest(str(alone)) == load_guest(str(stream)) == load_guest(str(listed))


def test_every_object_of_the_files_beside_it_comes_with_the_machine(tmp_path: Path) -> None:
    vm, types, preference = (tmp_path / name for name in ("vm.yaml", "types.yaml", "preference.yaml"))
    vm.write_bytes(_stream(_machine("a")))
    types.write_bytes(_stream(_object("VirtualMachineInstancetype", "x"), _object("VirtualMachineInstancetype", "y")))
    preference.write_bytes(_stream(_object("VirtualMachinePreference", "z")))
    read = read_document(str(vm), Choice(instancetype=str(types), preference=str(preference)))
    assert [(one.source, one.name, one.given_as) for one in read.companions] == [
        (f"{types} (line 1)", "x", "--instancetype"),
        (f"{types} (line 3)", "y", "--instancetype"),
        (str(preference), "z", "--preference"),
    ]


def test_an_empty_file_beside_the_manifest_is_refused(tmp_path: Path) -> None:
    vm, empty = tmp_path / "vm.yaml", tmp_path / "empty.yaml"
    vm.write_bytes(_stream(_machine("a")))
    empty.write_text("# nothing\n")
    with pytest.raises(InvalidVMI, match="is empty; wanted what --preference names"):
        read_document(str(vm), Choice(preference=str(empty)))


TEMPLATES = [
    ("a_helm_condition", "kind: X\n{{- if .Values.x }}\na: 1\n{{- end }}\n", 2, "'{{- if .Values.x }}'"),
    ("a_helm_value", "kind: X\nname: {{ .Release.Name }}-vm\n", 2, "'{{ .Release.Name }}'"),
    ("a_helm_block", "a:\n  {{- toYaml .Values | nindent 4 }}\n", 2, "'{{- toYaml .Values | nindent 4 }}'"),
    ("a_helm_comment", "{{/* about */}}\na: 1\n", 1, "'{{/* about */}}'"),
    ("a_jinja_loop", "{% for x in y %}\na: 1\n{% endfor %}\n", 1, "'{% for x in y %}'"),
    ("a_jinja_comment", "{# about #}\na: 1\n", 1, "'{# about #}'"),
    ("a_jinja_value", "a: {{ x | default('3') }}\n", 1, "\"{{ x | default('3') }}\""),
]


@pytest.mark.parametrize(("text", "line", "mark"), [row[1:] for row in TEMPLATES], ids=[row[0] for row in TEMPLATES])
def test_a_template_is_told_as_one_in_one_line(text: str, line: int, mark: str) -> None:
    with pytest.raises(InvalidVMI) as refusal:
        parse_document("vm.yaml", text.encode())
    assert str(refusal.value) == (
        f"vm.yaml: line {line}: is a template, not a manifest: {mark}; "
        "fill it in first (helm template, jinja2, oc process, envsubst)"
    )


def test_a_template_for_cloud_init_makes_no_template_of_a_manifest() -> None:
    text = "a: |\n  ## template: jinja\n  {{ v1.local_hostname }}\nb: [\n"
    with pytest.raises(InvalidVMI, match="line 5, column 1: not YAML"):
        parse_document("vm.yaml", text.encode())


_NAMES = st.sampled_from(["a", "b", "", "lab/a", "x/y/z"])
_OBJECTS: st.SearchStrategy[Value] = st.recursive(
    st.none()
    | st.text(max_size=3)
    | st.fixed_dictionaries(
        {},
        optional={
            "kind": st.sampled_from(["VirtualMachine", "VirtualMachineInstance", "Secret", "List", 5, None]),
            "metadata": st.none()
            | st.fixed_dictionaries({}, optional={"name": _NAMES | st.none() | st.integers(), "namespace": _NAMES}),
            "items": st.none() | st.text(max_size=2),
        },
    ),
    lambda inner: st.builds(_list, inner, inner),
    max_leaves=8,
)


@settings(max_examples=300)
@given(documents=st.lists(_OBJECTS, max_size=4), name=st.none() | _NAMES)
def test_any_stream_gives_one_machine_or_one_refusal(documents: list[Value], name: str | None) -> None:
    text = "".join(f"---\n{yaml.safe_dump(one)}" for one in documents)
    refusal = ""
    try:
        root: object = parse_document("vm.yaml", text.encode(), Choice(name=name)).root
    except InvalidVMI as error:
        root, refusal = {}, str(error)
    assert isinstance(root, dict)
    assert all(line.startswith("vm.yaml: ") for line in refusal.splitlines())

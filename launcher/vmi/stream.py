"""A stream of documents and lists, as `kubectl apply -f` takes it: the machine in it, and what came with it.

Loaded only where a manifest holds more than one object, is a list, or is asked for a machine by name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from launcher.errors import Fault, InvalidVMI
from launcher.vmi.fieldpath import item, show
from launcher.vmi.manifest import DEFAULT_NAMESPACE, Choice, Companion, Document, Value, text_at
from launcher.vmi.other_kinds import advice_on

if TYPE_CHECKING:
    from launcher.vmi.yamltree import Tree

MACHINE_KINDS = ("VirtualMachineInstance", "VirtualMachine")
# More names are no help.
_MOST_LISTED = 20


def objects_of(source: str, trees: tuple[Tree, ...]) -> tuple[Companion, ...]:
    """Return every object of these documents, those of lists too; each knows its line and place in a list.

    Raises InvalidVMI where one of them is not a mapping.
    """
    found = [one for tree in trees for one in _flattened(tree.value, f"line {tree.line}")]
    wanted = "a VirtualMachineInstance" if len(trees) == 1 else "an object"
    wrong = [Fault("", f"{where}: {show(root)} is not a mapping; wanted {wanted}") for where, root in _odd(found)]
    if wrong:
        raise InvalidVMI(source, wrong)
    only = len(found) == 1 and isinstance(trees[0].value, dict) and found[0][1] is trees[0].value
    return tuple(
        Companion(source=source if only else f"{source} ({where})", root=root)
        for where, root in found
        if isinstance(root, dict)
    )


def _odd(found: Iterable[tuple[str, Value]]) -> Iterator[tuple[str, Value]]:
    return ((where, root) for where, root in found if not isinstance(root, dict))


def _flattened(value: Value, where: str, path: str = "") -> Iterator[tuple[str, Value]]:
    """Yield a document's objects, each with where it is: "line 7", or "line 7, items[2]" of a list."""
    items = value.get("items") if isinstance(value, dict) and text_at(value, "kind").endswith("List") else None
    if not isinstance(items, list):
        yield (f"{where}, {path}" if path else where), value
        return
    for index, inner in enumerate(items):
        inner_path = item(f"{path}.items" if path else "items", index)
        yield from _flattened(inner, where, inner_path)


def choose_machine(source: str, objects: tuple[Companion, ...], choice: Choice) -> Document:
    """Return the machine among these objects, with the others as its companions.

    Raises InvalidVMI, with a line that lists them, where there is none, or more than one that may be meant.
    """
    machines = [one for one in objects if one.kind in MACHINE_KINDS]
    meant = [one for one in machines if choice.name is None or _is_called(one, choice.name)]
    if len(meant) == 1:
        companions = tuple(one for one in objects if one is not meant[0])
        return Document(source=meant[0].source, root=meant[0].root, companions=companions)
    if not machines and len(objects) == 1:
        # What is wrong with its kind is told as of any other manifest.
        return Document(source=objects[0].source, root=objects[0].root)
    raise InvalidVMI(source, [Fault("", _why_not_one(machines, meant, objects, choice))])


def _is_called(machine: Companion, wanted: str) -> bool:
    namespace, slash, name = wanted.rpartition("/")
    return machine.name == name and (not slash or _namespace(machine) == namespace)


def _namespace(machine: Companion) -> str:
    return machine.namespace or DEFAULT_NAMESPACE


def _why_not_one(
    machines: list[Companion], meant: list[Companion], objects: tuple[Companion, ...], choice: Choice
) -> str:
    if not machines:
        hints = [f"; a {one.kind} {advice}" for one in objects if (advice := advice_on(one.kind)) is not None]
        return f"holds no VirtualMachineInstance and no VirtualMachine, but {_counted(objects)}{''.join(hints[:1])}"
    if not meant:
        return f"holds no machine called {show(choice.name)}, but {_listed(machines)}"
    by_name = {f"{_namespace(one)}/{one.name}" for one in meant}
    if choice.name is None:
        return f"holds {len(meant)} machines; say which with --name: {_listed(meant)}"
    if len(by_name) == len(meant):
        return f"{len(meant)} machines are called {show(choice.name)}; wanted --name NAMESPACE/NAME of {_listed(meant)}"
    return f"{len(meant)} machines are called {show(choice.name)}; take the others out: {_listed(meant)}"


def _counted(objects: tuple[Companion, ...]) -> str:
    counts = Counter(one.kind or "object" for one in objects) or {"objects": 0}
    return _shortened([f"{count} {kind if kind.isidentifier() else show(kind)}" for kind, count in counts.items()])


def _listed(machines: list[Companion]) -> str:
    return _shortened([f"{_namespace(one)}/{one.name or '?'}{_where(one)}" for one in machines])


def _where(machine: Companion) -> str:
    """Return the place that its source ends with: " (line 7)"."""
    return machine.source[machine.source.rindex(" (") :] if machine.source.endswith(")") else ""


def _shortened(parts: list[str]) -> str:
    more = len(parts) - _MOST_LISTED
    return ", ".join([*parts[:_MOST_LISTED], *([f"and {more} more"] if more > 0 else [])])

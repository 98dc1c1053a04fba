"""Finds the instancetype or preference that a machine names, among what came with it.

Source: KubeVirt's pkg/instancetype/find and pkg/instancetype/infer.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from launcher.instancetype.infer import infer
from launcher.vmi.fieldpath import show
from launcher.vmi.manifest import DEFAULT_NAMESPACE, Companion, Document, Value, mapping_at, text_at

# More names are no help.
_MOST_LISTED = 20


class Sort(Struct, frozen=True, kw_only=True):
    """Instancetypes or preferences: the machine's field, the option, the kinds of a namespace and of the cluster."""

    field: str
    of_namespace: str
    of_cluster: str

    @property
    def option(self) -> str:
        """The option whose file holds one."""
        return f"--{self.field}"

    @property
    def kinds(self) -> tuple[str, str]:
        """Both kinds."""
        return self.of_namespace, self.of_cluster

    @property
    def path(self) -> str:
        """The path of the machine's field."""
        return f"spec.{self.field}"


INSTANCETYPE = Sort(
    field="instancetype",
    of_namespace="VirtualMachineInstancetype",
    of_cluster="VirtualMachineClusterInstancetype",
)
PREFERENCE = Sort(
    field="preference", of_namespace="VirtualMachinePreference", of_cluster="VirtualMachineClusterPreference"
)


class NotFound(Exception):
    """What a machine names cannot be had here; the path of the field, and what to do."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(message)
        self.path = path


def find(sort: Sort, document: Document) -> Companion | None:
    """Return what the machine names, or the only one of the option's file; None where neither asks for any.

    Raises NotFound.
    """
    matcher = mapping_at(document.root, "spec", sort.field)
    of_option = [one for one in document.companions if one.given_as == sort.option]
    if of_option:
        return _of_option(sort, matcher, of_option)
    if not matcher:
        return None
    if text_at(matcher, "revisionName"):
        return _revision(sort, text_at(matcher, "revisionName"), document)
    if volume := text_at(matcher, "inferFromVolume"):
        matcher = _inferred(sort, volume, matcher, document)
    return _named(sort, matcher, document) if matcher else None


def _of_option(sort: Sort, matcher: dict[str, Value], objects: list[Companion]) -> Companion:
    """Choose of the objects of an option's file: the person who names it knows better than any reference."""
    source = objects[0].source.partition(" (")[0]
    held = [one for one in objects if one.kind in sort.kinds]
    if not held:
        raise NotFound("", f"{source} holds no {' and no '.join(sort.kinds)}; {sort.option} wants one")
    name = text_at(matcher, "name")
    meant = held if not name else [one for one in held if one.name == name]
    # Where two kinds have one name the machine's word counts.
    exact = [one for one in meant if one.kind == _kind(sort, matcher)]
    for choice in (meant, exact):
        if len(choice) == 1:
            return choice[0]
    if meant and not name:
        raise NotFound(sort.path, f"missing; {source} holds {len(held)}: name one of {_names(held)}")
    if meant:
        raise NotFound(f"{sort.path}.name", f"{source} holds {len(meant)} called {show(name)}")
    raise NotFound(f"{sort.path}.name", f"{show(name)} is not in {source}, which holds {_names(held)}")


def _names(objects: list[Companion]) -> str:
    names = sorted({one.name or "?" for one in objects})
    more = f" and {len(names) - _MOST_LISTED} more" if len(names) > _MOST_LISTED else ""
    return f"{', '.join(names[:_MOST_LISTED])}{more}"


def _kind(sort: Sort, matcher: dict[str, Value]) -> str:
    """Return the kind that a reference means: also as a resource, in any case, singular or plural."""
    written = text_at(matcher, "kind")
    for kind in sort.kinds:
        if written.lower() in (kind.lower(), f"{kind.lower()}s"):
            return kind
    if written:
        raise NotFound(f"{sort.path}.kind", f"{show(written)} is not {' or '.join(sort.kinds)}")
    return sort.of_cluster


def _named(sort: Sort, matcher: dict[str, Value], document: Document) -> Companion:
    kind, name = _kind(sort, matcher), text_at(matcher, "name")
    if not name:
        raise NotFound(sort.path, "wanted name, or inferFromVolume")
    same = [one for one in document.companions if one.kind in sort.kinds and one.name == name]
    meant = [one for one in same if one.kind == kind and (kind == sort.of_cluster or _is_near(one, document))]
    if meant:
        return meant[0]
    other = f"; the one here is a {same[0].kind} of {_namespace(same[0].namespace)}" if same else ""
    raise NotFound(
        f"{sort.path}.name",
        f"{show(name)} is a {kind} that is not here; give it as a document beside the machine, or with {sort.option} "
        f"FILE (kubectl get {kind.lower()} {name} -o yaml){other}",
    )


def _namespace(name: str) -> str:
    return name or DEFAULT_NAMESPACE


def _is_near(one: Companion, document: Document) -> bool:
    """Tell whether an object is of the machine's namespace."""
    return _namespace(one.namespace) == _namespace(text_at(document.root, "metadata", "namespace"))


def _revision(sort: Sort, name: str, document: Document) -> Companion:
    """Return the copy that KubeVirt made of what the machine was started with."""
    for one in document.companions:
        if one.kind == "ControllerRevision" and one.name == name:
            return Companion(source=one.source, root=mapping_at(one.root, "data"))
    raise NotFound(
        f"{sort.path}.revisionName",
        f"{show(name)} is a ControllerRevision that only the cluster has; give it as a document beside the machine, "
        f"or what it holds with {sort.option} FILE",
    )


def _inferred(sort: Sort, volume: str, matcher: dict[str, Value], document: Document) -> dict[str, Value]:
    for name in ("name", "kind"):
        if text_at(matcher, name):
            raise NotFound(f"{sort.path}.{name}", "take it out, or inferFromVolume: each says which one")
    try:
        found = infer(volume, sort.field, document)
    except LookupError as error:
        message = f"{error.args[0]}; write the name into {sort.path}.name, or give {sort.option} FILE"
        raise NotFound(f"{sort.path}.inferFromVolume", message) from error
    if found is None and text_at(matcher, "inferFromVolumeFailurePolicy") != "Ignore":
        message = f"what holds the volume {show(volume)} has no label {_label(sort)}"
        raise NotFound(f"{sort.path}.inferFromVolume", message)
    return {} if found is None else dict(_matcher_of(*found))


def _label(sort: Sort) -> str:
    return f"instancetype.kubevirt.io/default-{sort.field}"


def _matcher_of(name: str, kind: str) -> Iterable[tuple[str, Value]]:
    return (("name", name), ("kind", kind))

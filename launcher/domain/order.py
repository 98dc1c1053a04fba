"""The order of a domain's elements: libvirt's own, so that people find their way as in `virsh dumpxml`."""

from __future__ import annotations

from launcher.domain.xml import Element

# The order of virDomainDefFormat (libvirt, src/conf/domain_conf.c); the schema takes any order.
_ORDER = (
    "name",
    "uuid",
    "title",
    "description",
    "metadata",
    "maxMemory",
    "memory",
    "currentMemory",
    "memtune",
    "memoryBacking",
    "vcpu",
    "iothreads",
    "iothreadids",
    "cputune",
    "numatune",
    "resource",
    "sysinfo",
    "os",
    "features",
    "cpu",
    "clock",
    "on_poweroff",
    "on_reboot",
    "on_crash",
    "pm",
    "devices",
    "seclabel",
)


def sort_elements(domain: Element) -> None:
    """Put the children of the domain in libvirt's order, those it does not know last; a comment stays with its element.

    A comment belongs to the element that follows it.
    """
    groups: list[list[Element]] = [[]]
    for child in domain:
        groups[-1].append(child)
        if isinstance(child.tag, str):
            groups.append([])
    domain[:] = [child for group in sorted(groups, key=_place) for child in group]


def _place(group: list[Element]) -> int:
    tag = group[-1].tag if group else None
    return _ORDER.index(tag) if tag in _ORDER else len(_ORDER)

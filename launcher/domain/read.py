"""The reader of domain XML: what a running domain says of its plan and its threads' configured pins."""

from __future__ import annotations

from lxml import etree
from msgspec import Struct

from launcher.cpuset import CPUSet
from launcher.domain.channels import AGENT_PORT
from launcher.domain.names import PLAN_NAMESPACE, RUN_NAMESPACE
from launcher.domain.xml import Element, parser
from launcher.planner.document import from_json
from launcher.planner.model import Pinning


class ConfiguredPins(Struct, frozen=True, kw_only=True):
    """The CPUs that a domain's configuration gives to each thread; None where it leaves them open.

    vCPUs and IOThreads ascending by id, every one of them (libvirt's ids). A configuration is no proof: libvirt
    accepts pins that do not hold.
    """

    vcpus: tuple[tuple[int, CPUSet | None], ...]
    emulator: CPUSet | None
    iothreads: tuple[tuple[int, CPUSet | None], ...]


def read_pins(xml: str) -> ConfiguredPins:
    """Read the pins of a live domain XML, or of libvirt's own state file of a running domain.

    What has no pin of its own has `vcpu/@cpuset` (libvirt's formatdomain, "CPU Tuning"). Raises ValueError where the
    text is no domain.
    """
    domain = domain_of(xml)
    vcpu = domain.find("vcpu")
    default = None if vcpu is None or vcpu.get("cpuset") is None else CPUSet.parse(vcpu.get("cpuset", ""))
    pins = _pins(domain, "vcpupin", "vcpu")
    iothread_pins = _pins(domain, "iothreadpin", "iothread")
    emulator = domain.find("cputune/emulatorpin")
    return ConfiguredPins(
        vcpus=tuple((number, pins.get(number, default)) for number in _vcpus(domain, vcpu)),
        emulator=default if emulator is None else CPUSet.parse(emulator.get("cpuset", "")),
        iothreads=tuple((number, iothread_pins.get(number, default)) for number in _iothreads(domain)),
    )


def read_most_vcpus(capabilities: str) -> int | None:
    """Return the most vCPUs that libvirt's domain capabilities allow; None where they say none."""
    vcpu = etree.fromstring(capabilities, parser()).find("vcpu")
    most = "" if vcpu is None else vcpu.get("max", "")
    return int(most) if most.isascii() and most.isdigit() else None


def read_uuid(xml: str) -> str:
    """Return the domain's UUID; empty where it says none."""
    return domain_of(xml).findtext("uuid") or ""


def domain_of(xml: str) -> Element:
    """Return the domain element; the state file has it inside of a domstatus element."""
    try:
        # As bytes: a document that names its encoding is refused as text.
        top = etree.fromstring(xml.encode(), parser())
    except etree.XMLSyntaxError as error:
        raise ValueError(f"not XML: {error}") from error
    domain = top if top.tag == "domain" else top.find("domain")
    if domain is None:
        raise ValueError(f"a {top.tag} element, not a domain")
    return domain


def _pins(domain: Element, tag: str, key: str) -> dict[int, CPUSet]:
    return {int(pin.get(key, "")): CPUSet.parse(pin.get("cpuset", "")) for pin in domain.iterfind(f"cputune/{tag}")}


def _vcpus(domain: Element, vcpu: Element | None) -> tuple[int, ...]:
    """Return the ids of the vCPUs that are plugged in."""
    each = tuple(domain.iterfind("vcpus/vcpu"))
    if each:
        return tuple(int(one.get("id", "")) for one in each if one.get("enabled") == "yes")
    number = 1 if vcpu is None else int(vcpu.get("current") or vcpu.text or 1)
    return tuple(range(number))


def _iothreads(domain: Element) -> tuple[int, ...]:
    """Return the ids of the IOThreads: those named, then the lowest that are free, as libvirt numbers them."""
    named = {int(one.get("id", "")) for one in domain.iterfind("iothreadids/iothread")}
    number = max(int(domain.findtext("iothreads") or 0), len(named))
    free = (candidate for candidate in range(1, number + len(named) + 1) if candidate not in named)
    return tuple(sorted([*named, *(next(free) for _ in range(number - len(named)))]))


def read_plan(xml: str) -> Pinning | None:
    """Return the plan that a launcher recorded in this domain's metadata; None where no launcher did.

    Raises ValueError where the record is there but cannot be read.
    """
    domain = domain_of(xml)
    plan = domain.find(f"metadata/{{{PLAN_NAMESPACE}}}plan")
    return None if plan is None or plan.text is None else from_json(plan.text)


def read_type(xml: str) -> str:
    """Return the domain's type, such as kvm or qemu."""
    return domain_of(xml).get("type", "")


def read_agent_connected(xml: str) -> bool:
    """Tell whether the guest's agent is connected, as the live XML's channel has it."""
    targets = domain_of(xml).iterfind("devices/channel/target")
    return any(target.get("name") == AGENT_PORT and target.get("state") == "connected" for target in targets)


def read_user_cards(xml: str) -> tuple[str, ...]:
    """Return the aliases of the network cards behind QEMU's own user networking."""
    cards = (
        card for card in domain_of(xml).iterfind("devices/interface[@type='user']") if card.find("backend") is None
    )
    return tuple(alias.get("name", "") for card in cards for alias in card.iterfind("alias"))


def read_has_run(xml: str) -> bool:
    """Tell whether the guest's CPUs have ever run, by the mark that the launcher makes once they do."""
    return domain_of(xml).find(f"metadata/{{{RUN_NAMESPACE}}}*") is not None


def read_vcpus(xml: str) -> int:
    """Return the number of vCPUs that the guest was started with; a domain without the element has one."""
    return int(domain_of(xml).findtext("vcpu") or 1)

"""The admission rules of what only the Pod has: its names on the network, its resolver, and as whom it runs.

Source: KubeVirt's admission webhook (vmi-create-admitter.go), whose rules are Kubernetes' own.
"""

from __future__ import annotations

from collections.abc import Iterator

from launcher.errors import Fault
from launcher.vmi.fieldpath import child, item, show
from launcher.vmi.name_rules import is_label_name, is_label_value
from launcher.vmi.rules import Rule, Subject, faults_at, label_fault, subdomain_fault

_DNS = "spec.dnsConfig"
# Kubernetes' MaxDNSNameservers, MaxDNSSearchPaths and MaxDNSSearchListChars (pkg/apis/core/validation).
_MOST_SERVERS = 3
_MOST_SEARCHES = 32
_MOST_SEARCH_CHARACTERS = 2048


def _names(subject: Subject) -> Iterator[Fault]:
    spec = subject.vmi.spec
    if spec.hostname:
        yield from faults_at("spec.hostname", label_fault(spec.hostname))
    for field, name in (
        ("subdomain", spec.subdomain),
        ("schedulerName", spec.scheduler_name),
        ("priorityClassName", spec.priority_class_name),
        ("serviceAccountName", spec.service_account_name),
    ):
        if name:
            yield from faults_at(f"spec.{field}", subdomain_fault(name))


def _node_selector(subject: Subject) -> Iterator[Fault]:
    for name, value in subject.vmi.spec.node_selector.items():
        if not is_label_name(name) or not is_label_value(value):
            yield Fault(
                child("spec.nodeSelector", name), f"{show(name)}: {show(value)} is no label that a node can have"
            )


def _dns(subject: Subject) -> Iterator[Fault]:
    spec = subject.vmi.spec
    config = spec.dns_config
    servers = () if config is None else config.nameservers
    if spec.dns_policy == "None" and not servers:
        yield Fault(f"{_DNS}.nameservers", "missing; dnsPolicy: None needs one")
    if config is None:
        return
    if len(servers) > _MOST_SERVERS:
        yield Fault(f"{_DNS}.nameservers", f"{len(servers)} are more than {_MOST_SERVERS}, all that a resolver asks")
    for index, server in enumerate(servers):
        if not _is_address(server):
            yield Fault(item(f"{_DNS}.nameservers", index), f"{show(server)} is not an IP address")
    yield from _searches(config.searches)
    for index, option in enumerate(config.options):
        if not option.name:
            yield Fault(f"{item(f'{_DNS}.options', index)}.name", "is empty")


def _searches(searches: tuple[str, ...]) -> Iterator[Fault]:
    if len(searches) > _MOST_SEARCHES or len(" ".join(searches)) > _MOST_SEARCH_CHARACTERS:
        yield Fault(
            f"{_DNS}.searches", f"are more than {_MOST_SEARCHES}, or longer than {_MOST_SEARCH_CHARACTERS} characters"
        )
    for index, search in enumerate(searches):
        # One dot at the end makes it absolute; "." is the root (validatePodDNSConfig).
        if search != ".":
            yield from faults_at(item(f"{_DNS}.searches", index), subdomain_fault(search.removesuffix(".")))


def _is_address(text: str) -> bool:
    from ipaddress import ip_address  # noqa: PLC0415 - only a manifest with a resolver of its own pays for it

    try:
        ip_address(text)
    except ValueError:
        return False
    return True


POD_RULES = (
    Rule(
        reads=tuple(
            f"spec.{field}"
            for field in ("hostname", "subdomain", "schedulerName", "priorityClassName", "serviceAccountName")
        ),
        check=_names,
    ),
    Rule(reads=("spec.nodeSelector",), check=_node_selector),
    Rule(reads=("spec.dnsPolicy", _DNS), check=_dns),
)

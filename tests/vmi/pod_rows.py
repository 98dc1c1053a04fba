"""The rows of the admission tests that are about what only the Pod has."""

from __future__ import annotations

from tests.vmi.machine_rows import NO_LABEL, NO_OBJECT
from tests.vmi.manifests import Changes

DNS = "spec.dnsConfig"

# (sentence, changes to a valid manifest, every fault)
POD_FAULTS: list[tuple[str, Changes, list[tuple[str, str]]]] = [
    ("a_hostname_of_two_labels", {"spec.hostname": "a.b"}, [("spec.hostname", f"'a.b' {NO_LABEL}")]),
    ("a_subdomain_in_capitals", {"spec.subdomain": "Pool"}, [("spec.subdomain", f"'Pool' {NO_OBJECT}")]),
    (
        "an_account_that_is_none",
        {"spec.serviceAccountName": "../a", "spec.priorityClassName": "a b"},
        [("spec.serviceAccountName", f"'../a' {NO_OBJECT}"), ("spec.priorityClassName", f"'a b' {NO_OBJECT}")],
    ),
    (
        "a_node_of_no_label",
        {"spec.nodeSelector": {"zone": "a b"}},
        [("spec.nodeSelector.zone", "'zone': 'a b' is no label that a node can have")],
    ),
    (
        "a_resolver_that_asks_nobody",
        {"spec.dnsPolicy": "None", DNS: {"searches": ["example.org"]}},
        [(f"{DNS}.nameservers", "missing; dnsPolicy: None needs one")],
    ),
    (
        "a_resolver_that_nobody_has",
        {
            DNS: {
                "nameservers": ["192.0.2.1", "dns", "2001:db8::1", "192.0.2.3"],
                "searches": ["a b"],
                "options": [{"name": ""}],
            }
        },
        [
            (f"{DNS}.nameservers", "4 are more than 3, all that a resolver asks"),
            (f"{DNS}.nameservers[1]", "'dns' is not an IP address"),
            (f"{DNS}.searches[0]", f"'a b' {NO_OBJECT}"),
            (f"{DNS}.options[0].name", "is empty"),
        ],
    ),
    (
        "too_many_searches",
        {DNS: {"searches": [f"d{number}" for number in range(33)]}},
        [(f"{DNS}.searches", "are more than 32, or longer than 2048 characters")],
    ),
]
POD_ACCEPTED: list[tuple[str, Changes]] = [
    (
        "a_pod_with_names_and_a_resolver",
        {
            "spec.hostname": "web",
            "spec.subdomain": "pool.example",
            "spec.dnsPolicy": "None",
            DNS: {
                "nameservers": ["192.0.2.1", "2001:db8::1"],
                "searches": [".", "example.org."],
                "options": [{"name": "ndots", "value": "2"}, {"name": "edns0"}],
            },
        },
    ),
]

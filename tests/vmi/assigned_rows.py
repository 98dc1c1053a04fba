"""The rows of the admission tests that are about the host's devices and the claims they come by."""

from __future__ import annotations

from tests.vmi.manifests import Changes

DEVICES = "spec.domain.devices"
GPUS = f"{DEVICES}.gpus"
HOST_DEVICES = f"{DEVICES}.hostDevices"
CLAIMS = "spec.resourceClaims"
NO_NAME = "is not 1 to 63 of A-Z, a-z, 0-9, _ and -"
A10: dict[str, object] = {"name": "g0", "deviceName": "nvidia.com/A10"}
CLAIMED: dict[str, object] = {"name": "g0", "claimName": "c", "requestName": "gpu"}
CLAIM: Changes = {CLAIMS: [{"name": "c", "resourceClaimName": "my.claim"}]}

ASSIGNED_FAULTS: list[tuple[str, Changes, list[tuple[str, str]]]] = [
    ("a_device_that_comes_from_nowhere", {GPUS: [{"name": "g0"}]}, [
        (f"{GPUS}[0]", "has neither deviceName, a device plugin's resource, nor claimName and requestName"),
    ]),
    ("a_device_that_comes_from_two_places", {GPUS: [{**A10, **CLAIMED}], **CLAIM}, [
        (f"{GPUS}[0]", "has both deviceName and a claim; wanted a device plugin's resource or a claim's request"),
    ]),
    ("a_claim_without_a_request", {HOST_DEVICES: [{"name": "h", "claimName": "c"}], **CLAIM}, [
        (f"{HOST_DEVICES}[0].requestName", "missing; a claim's request is named by claimName and requestName"),
    ]),
    ("a_request_without_a_claim", {HOST_DEVICES: [{"name": "h", "requestName": "r"}]}, [
        (f"{HOST_DEVICES}[0].claimName", "missing; a claim's request is named by claimName and requestName"),
    ]),
    ("a_resource_without_a_domain", {GPUS: [{"name": "g0", "deviceName": "A10"}]}, [
        (f"{GPUS}[0].deviceName",
         "'A10' is not a device plugin's resource; wanted domain/name, such as nvidia.com/GA102GL_A10"),
    ]),
    ("a_name_that_is_no_alias", {GPUS: [{**A10, "name": "g 0"}]}, [(f"{GPUS}[0].name", f"'g 0' {NO_NAME}")]),
    ("a_name_given_twice", {HOST_DEVICES: [A10, A10]}, [
        (f"{HOST_DEVICES}[1].name", f"'g0' is the name of {HOST_DEVICES}[0], too"),
    ]),
    ("gpus_of_two_kinds", {GPUS: [A10, {**CLAIMED, "name": "g1"}], **CLAIM}, [
        (GPUS, "some come from a device plugin and some from a claim; KubeVirt takes one kind at a time"),
    ]),
    ("one_request_for_two_devices", {GPUS: [CLAIMED], HOST_DEVICES: [CLAIMED], **CLAIM}, [
        (f"{HOST_DEVICES}[0]", f"request 'gpu' of claim 'c' is {GPUS}[0]'s, too"),
    ]),
    ("a_claim_that_is_not_listed", {GPUS: [CLAIMED]}, [(f"{GPUS}[0].claimName", f"'c' is not in {CLAIMS}")]),
    ("a_claim_of_nothing", {CLAIMS: [{"name": "c"}]}, [
        (f"{CLAIMS}[0]", "has neither resourceClaimName nor resourceClaimTemplateName; wanted one of them"),
    ]),
    ("a_claim_of_two_things",
     {CLAIMS: [{"name": "c", "resourceClaimName": "a", "resourceClaimTemplateName": "b"}]},
     [(f"{CLAIMS}[0]", "has both resourceClaimName and resourceClaimTemplateName; wanted one of them")]),
    ("a_claim_listed_twice", {CLAIMS: [{"name": "c", "resourceClaimName": "a"}] * 2}, [
        (f"{CLAIMS}[1].name", f"'c' is the name of {CLAIMS}[0], too"),
    ]),
    ("a_claim_with_a_path",
     {CLAIMS: [{"name": "c", "resourceClaimName": "../a"}]},
     [(f"{CLAIMS}[0].resourceClaimName",
       "'../a' is not the name of a Kubernetes object: labels of a-z, 0-9 and -, with dots between them")]),
    ("a_screen_of_a_guest_that_has_none",
     {GPUS: [{**A10, "virtualGPUOptions": {"display": {"enabled": True}}}],
      f"{DEVICES}.autoattachGraphicsDevice": False},
     [(f"{GPUS}[0].virtualGPUOptions.display", f"has no effect with {DEVICES}.autoattachGraphicsDevice: false")]),
]  # fmt: skip

ASSIGNED_ACCEPTED: list[tuple[str, Changes]] = [
    ("two_gpus_of_one_resource", {GPUS: [A10, {**A10, "name": "g1"}]}),
    ("a_gpu_and_a_device_of_one_name", {GPUS: [A10], HOST_DEVICES: [{**A10, "tag": "fast"}]}),
    ("a_gpu_by_a_claim", {GPUS: [CLAIMED], **CLAIM}),
    ("a_device_by_a_claims_template", {
        HOST_DEVICES: [CLAIMED], CLAIMS: [{"name": "c", "resourceClaimTemplateName": "t"}],
    }),
    ("a_screen_from_the_boot_on", {
        GPUS: [{**A10, "virtualGPUOptions": {"display": {"enabled": True, "ramFB": {"enabled": True}}}}],
    }),
]  # fmt: skip

"""The part of Kubernetes' API that the launcher's Pod uses, as a JSON Schema that takes nothing else.

Source: Kubernetes' API reference, v1.33: Pod, Container, ConfigMap, and the rules of validation.go for names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jsonschema import Draft7Validator

_LABEL = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
_SUBDOMAIN = r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$"
_QUANTITY = r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$"
_PATH = r"^/[^:]*$"

NAME = {"type": "string", "pattern": _LABEL}
TEXT = {"type": "string"}
TEXTS = {"type": "array", "items": TEXT, "minItems": 1}
BOOLEAN = {"type": "boolean"}
TRUE = {"const": True}
COUNT = {"type": "integer", "minimum": 0}
OBJECT = {"type": "object"}


def closed(required: str = "", /, **properties: object) -> dict[str, object]:
    """Return the schema of an object with these fields and no other."""
    return {
        "type": "object", "properties": properties, "required": required.split(), "additionalProperties": False
    }  # fmt: skip


def listed(item: object) -> dict[str, object]:
    """Return the schema of a list that is not empty, for an empty one is better left out."""
    return {"type": "array", "items": item, "minItems": 1}


AMOUNTS = {"type": "object", "additionalProperties": {"type": "string", "pattern": _QUANTITY}}
LABELS = {
    "type": "object",
    "additionalProperties": {"type": "string", "pattern": r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$"},
}
PORT = {"type": "integer", "minimum": 1, "maximum": 65535}
HTTP = {"httpGet": closed("path port", path={"pattern": "^/(livez|readyz)(/guest)?$"}, port=PORT)}
TIMES = {
    "initialDelaySeconds": COUNT,
    **{
        name: {"type": "integer", "minimum": 1}
        for name in ("periodSeconds", "timeoutSeconds", "successThreshold", "failureThreshold")
    },
}
MOUNT = closed("name mountPath", name=NAME, mountPath={"type": "string", "pattern": _PATH}, readOnly=TRUE)
SECURITY = closed(
    "allowPrivilegeEscalation readOnlyRootFilesystem capabilities",
    allowPrivilegeEscalation={"const": False},
    readOnlyRootFilesystem=TRUE,
    capabilities=closed("drop", drop={"const": ["ALL"]}, add={"const": ["SYS_NICE"]}),
)
RESOURCES = closed(
    "requests limits",
    requests=AMOUNTS,
    limits=AMOUNTS,
    claims=listed(closed("name request", name=NAME, request=NAME)),
)
CONTAINER = closed(
    "name image resources securityContext volumeMounts",
    name=NAME,
    image=TEXT,
    imagePullPolicy={"enum": ["Always", "Never", "IfNotPresent"]},
    command=TEXTS,
    args=TEXTS,
    workingDir={"type": "string", "pattern": _PATH},
    env=listed(
        closed("name valueFrom", name=TEXT, valueFrom=closed("fieldRef", fieldRef=closed("fieldPath", fieldPath=TEXT)))
    ),
    ports=listed(
        closed(
            "name containerPort protocol",
            name={"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?$"},
            containerPort=PORT,
            protocol={"enum": ["TCP", "UDP"]},
        )
    ),
    resources=RESOURCES,
    securityContext=SECURITY,
    startupProbe=closed("periodSeconds", **HTTP, **TIMES, exec=closed("command", command=TEXTS)),
    livenessProbe=closed("httpGet", **HTTP, **TIMES),
    readinessProbe=closed("httpGet", **HTTP, **TIMES),
    volumeMounts=listed(MOUNT),
    volumeDevices=listed(closed("name devicePath", name=NAME, devicePath={"type": "string", "pattern": _PATH})),
    restartPolicy={"const": "Always"},
)
SECRET_PROJECTION = closed("secret", secret=closed("name", name=TEXT))
DOWNWARD_ITEM = closed(
    "path",
    path=TEXT,
    fieldRef=closed("fieldPath", fieldPath=TEXT, apiVersion=TEXT),
    resourceFieldRef=closed("resource containerName", resource=TEXT, containerName=NAME, divisor=TEXT),
    mode=COUNT,
)
VOLUME = {
    **closed(
        "name",
        name=NAME,
        emptyDir=closed("", medium={"pattern": "^HugePages"}, sizeLimit={"type": "string", "pattern": _QUANTITY}),
        configMap=closed("name", name=TEXT, optional=BOOLEAN),
        secret=closed("secretName", secretName=TEXT, optional=BOOLEAN),
        downwardAPI=closed("items", items={"type": "array", "items": DOWNWARD_ITEM}),
        projected=closed("sources", sources=listed(SECRET_PROJECTION)),
        persistentVolumeClaim=closed("claimName", claimName=TEXT, readOnly=TRUE),
        hostPath=closed("path type", path={"type": "string", "pattern": _PATH},
                        type={"enum": ["File", "Directory", "BlockDevice"]}),
        image=closed("reference", reference=TEXT, pullPolicy=TEXT),
    ),
    "minProperties": 2,
    "maxProperties": 2,
}  # fmt: skip
METADATA = closed("name labels", name=NAME, namespace=NAME, labels=LABELS)
ANNOTATED = closed(
    "name labels",
    name=NAME,
    namespace=NAME,
    labels=LABELS,
    annotations={"type": "object", "additionalProperties": TEXT},
)
POD = closed(
    "apiVersion kind metadata spec",
    apiVersion={"const": "v1"},
    kind={"const": "Pod"},
    metadata=ANNOTATED,
    spec=closed(
        "restartPolicy containers volumes securityContext automountServiceAccountToken",
        restartPolicy={"const": "Never"},
        terminationGracePeriodSeconds=COUNT,
        automountServiceAccountToken=BOOLEAN,
        serviceAccountName=TEXT,
        hostname=NAME,
        subdomain={"type": "string", "pattern": _SUBDOMAIN},
        dnsPolicy={"enum": ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"]},
        dnsConfig=closed(
            "",
            nameservers=TEXTS,
            searches=TEXTS,
            options=listed(closed("name", name=TEXT, value=TEXT)),
        ),
        enableServiceLinks={"const": False},
        runtimeClassName=TEXT,
        securityContext=closed(
            "runAsNonRoot runAsUser runAsGroup fsGroup seccompProfile",
            runAsNonRoot=TRUE,
            runAsUser={"const": 107},
            runAsGroup={"const": 107},
            fsGroup={"const": 107},
            fsGroupChangePolicy={"const": "OnRootMismatch"},
            seccompProfile={
                "enum": [{"type": "RuntimeDefault"}, {"type": "Localhost", "localhostProfile": "vl/p.json"}]
            },
            sysctls=listed(closed("name value", name=TEXT, value=TEXT)),
        ),
        nodeSelector=LABELS,
        affinity=OBJECT,
        tolerations={"type": "array", "items": OBJECT},
        topologySpreadConstraints={"type": "array", "items": OBJECT},
        schedulerName=TEXT,
        priorityClassName=TEXT,
        imagePullSecrets=listed(closed("name", name=TEXT)),
        resourceClaims=listed(
            closed("name", name=NAME, resourceClaimName=TEXT, resourceClaimTemplateName=TEXT),
        ),
        initContainers=listed(CONTAINER),
        containers={**listed(CONTAINER), "maxItems": 1},
        volumes=listed(VOLUME),
    ),
)
CONFIG_MAP = closed(
    "apiVersion kind metadata data",
    apiVersion={"const": "v1"},
    kind={"const": "ConfigMap"},
    metadata=METADATA,
    data={"type": "object", "additionalProperties": TEXT},
)


def check_pod(pod: Mapping[str, Any]) -> None:
    """Fail unless this is a Pod that the API server would take: by its schema, and by what refers to what."""
    Draft7Validator(POD).validate(pod)
    spec = pod["spec"]
    volumes = [volume["name"] for volume in spec["volumes"]]
    assert len(set(volumes)) == len(volumes), "the names of volumes are unique"
    containers = spec.get("initContainers", []) + spec["containers"]
    assert len({container["name"] for container in containers}) == len(containers)
    for container in containers:
        mounts = container["volumeMounts"] + container.get("volumeDevices", [])
        places = [mount.get("mountPath") or mount["devicePath"] for mount in mounts]
        assert len(set(places)) == len(places), "nothing is mounted over another"
        assert {mount["name"] for mount in mounts} <= set(volumes)
    used = {mount["name"] for c in containers for mount in c["volumeMounts"] + c.get("volumeDevices", [])}
    assert used == set(volumes), "every volume is used"


SECRET = closed(
    "apiVersion kind metadata stringData",
    apiVersion={"const": "v1"},
    kind={"const": "Secret"},
    metadata=METADATA,
    stringData={"type": "object", "additionalProperties": TEXT},
)
CLAIM = closed(
    "apiVersion kind metadata spec",
    apiVersion={"const": "v1"},
    kind={"const": "PersistentVolumeClaim"},
    metadata=closed("name", name=TEXT, namespace=NAME, labels=LABELS, annotations=OBJECT),
    spec=closed(
        "accessModes resources",
        accessModes=listed({"enum": ["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"]}),
        resources=closed("requests", requests=closed("storage", storage={"type": "string", "pattern": _QUANTITY})),
        storageClassName=TEXT,
        volumeMode={"enum": ["Filesystem", "Block"]},
        selector=OBJECT,
        volumeName=TEXT,
        dataSource=OBJECT,
        dataSourceRef=OBJECT,
    ),
)


def check_carrier(carrier: Mapping[str, Any]) -> None:
    """Fail unless this is a ConfigMap or a Secret that the API server would take."""
    Draft7Validator(SECRET if carrier["kind"] == "Secret" else CONFIG_MAP).validate(carrier)
    assert sum(len(value.encode()) for value in content_of(carrier).values()) <= 1 << 20


def content_of(carrier: Mapping[str, Any]) -> dict[str, str]:
    """Return the files that the ConfigMap or the Secret becomes in a Pod."""
    content: dict[str, str] = carrier["stringData"] if carrier["kind"] == "Secret" else carrier["data"]
    return content


def check_claim(claim: Mapping[str, Any]) -> None:
    """Fail unless this is a PersistentVolumeClaim that the API server would take."""
    Draft7Validator(CLAIM).validate(claim)

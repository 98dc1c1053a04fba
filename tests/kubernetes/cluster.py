"""The node's Kubernetes as the tests have it: parts that live and die, Pods, and what the kernel says of them."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import yaml

from launcher.cpuset import CPUSet
from tests.e2e.kernel import PROC, Thread, threads_of
from tests.kubernetes.api import API, Answer, Object
from tests.kubernetes.guests import keep_capabilities
from tests.qemu.guests import CHECKOUT

T = TypeVar("T")

RUN = Path("/run/kubernetes")
STATE = Path("/var/lib/kubelet/cpu_manager_state")
NODE_UP = CHECKOUT / "hack/kubernetes/node-up"
CGROUPS = Path("/sys/fs/cgroup")
# The slowest of all waits, on a machine that has other work to do: a cold start of the launcher, emulated twice.
PATIENCE_S = 420.0
_BETWEEN_S = 1.0
# Keeps a deleted Pod where it can be looked at: the API server shows for a moment alone how its containers ended.
_FINALIZER = "virt-launcher.test/seen"
_POD_GROUP = re.compile(r"0::(/kubepods\S*)")


class Cluster:
    """The API server, kubelet and container runtime of the node."""

    def __init__(self) -> None:
        """Find what node-up left."""
        self.api = API()
        self._usual_kubelet = (RUN / "kubelet.yaml").read_text()

    def check_parts(self) -> None:
        """Fail at once where a part has died that nobody stopped."""
        died = (RUN / "died").read_text().strip()
        assert not died, died

    def wait_for(self, what: str, probe: Callable[[], T | None], patience_s: float = PATIENCE_S) -> T:
        """Return the first answer of the probe that is one; fail where none comes in time, or a part dies."""
        return _wait_for(what, probe, patience_s, self.check_parts)

    def wait_for_quietly(self, what: str, probe: Callable[[], T | None]) -> T:
        """Wait likewise, for the death of a part."""
        return _wait_for(what, probe, PATIENCE_S, lambda: None)

    def apply(self, manifests: list[Object]) -> Object:
        """Create objects; return the last one, the Pod."""
        made: Object = {}
        for manifest in manifests:
            made = self.api.create(manifest)
        return made

    def pod(self, name: str) -> Object | None:
        """Return a Pod as it is, None where it is no more."""
        try:
            return self.api.get(f"/api/v1/namespaces/default/pods/{name}")
        except Answer as answer:
            if answer.status != 404:
                raise
            return None

    def wait_until_ready(self, name: str) -> Object:
        """Return the Pod once it is ready; fail at once where it has ended instead."""

        def ready() -> Object | None:
            pod = self.pod(name)
            assert pod is not None, f"Pod {name} is gone"
            status = pod["status"]
            assert status["phase"] in {"Pending", "Running"}, self.told(name)
            conditions = {entry["type"]: entry["status"] for entry in status.get("conditions", [])}
            return pod if conditions.get("Ready") == "True" else None

        try:
            pod = self.wait_for(f"ready Pod {name}", ready)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.told(name)}") from error
        qemu = qemus().get(pod["metadata"]["uid"])
        if qemu is not None:
            keep_capabilities(qemu)
        return pod

    def wait_until_ended(self, name: str) -> Object:
        """Return the Pod once it has ended, by itself or refused."""

        def ended() -> Object | None:
            pod = self.pod(name)
            assert pod is not None, f"Pod {name} is gone"
            return pod if pod["status"]["phase"] in {"Succeeded", "Failed"} else None

        return self.wait_for(f"end of Pod {name}", ended)

    def delete(self, name: str, grace_s: int | None = None) -> Object:
        """Delete a Pod, wait for the kubelet to be done with it, and return it as it was then."""
        path = f"/api/v1/namespaces/default/pods/{name}"
        pod = self.pod(name)
        if pod is None:
            return {}
        if "deletionTimestamp" not in pod["metadata"]:
            self.api.patch(path, {"metadata": {"finalizers": [_FINALIZER]}})
        self.api.delete(path, grace_s)

        def done() -> Object | None:
            # The kubelet's own last deletion has no grace period left.
            pod = self.pod(name)
            assert pod is not None, f"Pod {name} is gone before its end was seen"
            return pod if pod["metadata"].get("deletionGracePeriodSeconds") == 0 else None

        last = self.wait_for(f"end of the deleted Pod {name}", done)
        self.api.patch(path, {"metadata": {"finalizers": None}})
        self.wait_for(f"Pod {name} gone", lambda: self.pod(name) is None)
        return last

    def forget(self, name: str) -> None:
        """Leave nothing of a guest, its Pod or what carries its manifest, whatever state they are in."""
        if self.pod(name) is not None:
            self.delete(name, grace_s=1)
        for kind in ("configmaps", "secrets"):
            self.api.delete(f"/api/v1/namespaces/default/{kind}/{name}")

    def log(self, name: str) -> str:
        """Return what a Pod's launcher printed."""
        try:
            return self.api.text(f"/api/v1/namespaces/default/pods/{name}/log?container=compute")
        except Answer as answer:
            return str(answer)

    def told(self, name: str) -> str:
        """Return what a person would look at: the Pod's status, its events and the end of its log."""
        pod = self.pod(name) or {}
        events = self.api.get(f"/api/v1/namespaces/default/events?fieldSelector=involvedObject.name={name}")["items"]
        words = [f"{event['reason']}: {event['message']}" for event in events]
        return "\n".join((json.dumps(pod.get("status")), *words, self.log(name)[-2000:]))

    def exec_(self, name: str, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the launcher's container, by kubectl as a person does."""
        return kubectl("exec", name, "--container", "compute", "--", *command)

    def restart(self, part: str) -> None:
        """Stop a part and start it again."""
        self.stop(part)
        self.start(part)

    def stop(self, part: str) -> None:
        """Stop a part as systemd would."""
        subprocess.run([NODE_UP, "stop", part], check=True, timeout=PATIENCE_S)

    def start(self, part: str) -> None:
        """Start a part; whether it lives is for others to see."""
        subprocess.run([NODE_UP, "start", part], check=True, timeout=PATIENCE_S)

    def use_kubelet(self, **settings: Any) -> None:
        """Have the kubelet run as it began but for these settings; nothing is started where it does."""
        wanted = {**yaml.safe_load(self._usual_kubelet), **settings}
        if wanted != yaml.safe_load((RUN / "kubelet.yaml").read_text()):
            self.configure(yaml.safe_dump(wanted))

    def configure(self, text: str) -> None:
        """Stop the kubelet, remove its CPU manager's state, start it with this configuration, and wait for its node."""
        self.stop("kubelet")
        STATE.unlink(missing_ok=True)
        (RUN / "kubelet.yaml").write_text(text)
        begun = datetime.now(UTC)
        self.start("kubelet")
        self.wait_for("state file of a new kubelet", STATE.exists)
        self.wait_until_node_ready(begun)

    def wait_until_node_ready(self, since: datetime) -> None:
        """Wait for a kubelet that was started since then to say that its node is ready, and for no taint on it."""

        def is_ready() -> bool:
            node = self.api.get("/api/v1/nodes/node")
            ready = next(entry for entry in node["status"]["conditions"] if entry["type"] == "Ready")
            # A heartbeat has whole seconds.
            told = datetime.fromisoformat(ready["lastHeartbeatTime"]) + timedelta(seconds=1)
            return ready["status"] == "True" and told > since and not node["spec"].get("taints")

        self.wait_for("node that is ready", is_ready)


def _wait_for(what: str, probe: Callable[[], T | None], patience_s: float, check: Callable[[], None]) -> T:
    ends_s = time.monotonic() + patience_s
    while True:
        found = probe()
        if found:
            return found
        check()
        assert time.monotonic() < ends_s, f"no {what} in {patience_s:g} s"
        time.sleep(_BETWEEN_S)


def kubectl(*arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run kubectl, as whoever is at the node's console does."""
    return subprocess.run(
        ["/node/kubernetes/bin/kubectl", *arguments],
        input=stdin, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip


def state_of_cpus() -> tuple[CPUSet, dict[str, dict[str, str]]]:
    """Return the shared pool and the CPUs of each Pod's containers, from the kubelet's own file."""
    document = json.loads(STATE.read_text())
    document = json.loads(document["data"]) if "data" in document else document
    return CPUSet.parse(document["defaultCpuSet"]), document.get("entries", {})


def terminated(pod: Object) -> Object:
    """Return how the launcher's container ended."""
    (compute,) = (entry for entry in pod["status"]["containerStatuses"] if entry["name"] == "compute")
    found: Object = compute["state"]["terminated"]
    return found


def qemus() -> dict[str, int]:
    """Return the process of each guest's QEMU by the UID of its Pod."""
    found: dict[str, int] = {}
    for folder in PROC.glob("[0-9]*"):
        try:
            name, group = (folder / "comm").read_text(), (folder / "cgroup").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        match = re.search(r"/pod([0-9a-f-]+)/", group)
        if name.startswith("qemu-system") and match:
            found[match[1]] = int(folder.name)
    return found


def group_of(pid: int) -> Path:
    """Return the control group of a process in a Pod."""
    match = _POD_GROUP.search((PROC / str(pid) / "cgroup").read_text())
    assert match, "the process is in no Pod"
    return CGROUPS / match[1].lstrip("/")


def cpus_of_threads(pid: int) -> tuple[dict[str, Thread], frozenset[int]]:
    """Return the threads of QEMU's vCPUs, and the CPUs on which all others may run."""
    threads = threads_of(pid)
    vcpus = {thread.name: thread for thread in threads if re.fullmatch(r"CPU \d+/(?:KVM|TCG)", thread.name)}
    others = frozenset().union(*(thread.allowed for thread in threads if thread.name not in vcpus))
    return vcpus, others

"""What the options say of the kubelet that is simulated: its configuration, and the state file of a real one."""

from __future__ import annotations

from argparse import Namespace

from msgspec.structs import replace

from launcher.cli.output import complain
from launcher.errors import HostError, UsageError
from launcher.files import read_file
from launcher.kubelet.options import KubeletOptions, Policy, parse_options
from launcher.kubelet.state import MAX_STATE_BYTES, CPUManagerState, parse_state


def kubelet_options(options: Namespace) -> KubeletOptions:
    """Return the kubelet of `--kubelet`, with what its state file says is in use (`--kubelet-state`).

    Raises UsageError where the two contradict each other, HostError where the file cannot be read.
    """
    kubelet = parse_options(options.kubelet or "")
    if options.kubelet_state is None:
        return kubelet
    state = _read_state(options.kubelet_state)
    if kubelet.in_use:
        raise UsageError("--kubelet: in-use and --kubelet-state exclude each other: both say which CPUs are in use")
    if kubelet.policy is not Policy.STATIC and state.policy != kubelet.policy:
        raise UsageError(f"--kubelet: policy {kubelet.policy}: found {state.policy!r} in {options.kubelet_state}")
    return replace(
        kubelet, policy=_policy(state, options.kubelet_state), in_use=state.in_use, state_file=options.kubelet_state
    )


def _read_state(path: str) -> CPUManagerState:
    try:
        state = parse_state(read_file(path, most_bytes=MAX_STATE_BYTES).decode())
    except UnicodeDecodeError as error:
        raise HostError(f"--kubelet-state {path}: is not UTF-8 text") from error
    except ValueError as error:
        raise HostError(f"--kubelet-state {path}: {error}") from error
    if state.doubt is not None:
        complain(f"virt-launcher: warning: --kubelet-state {path}: {state.doubt}")
    return state


def _policy(state: CPUManagerState, path: str) -> Policy:
    try:
        return Policy(state.policy)
    except ValueError as error:
        raise HostError(f"--kubelet-state {path}: found policy {state.policy[:40]!r}, wanted static or none") from error

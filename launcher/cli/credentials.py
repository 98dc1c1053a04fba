"""Keys and passwords for the guest's users, from the Pod's Secrets, by the guest's agent whenever it comes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from functools import partial

from launcher.errors import HypervisorError
from launcher.hypervisor.protocol import Machine
from launcher.storage.files import Unusable, is_folder
from launcher.storage.folders import read_folder
from launcher.storage.layout import Mounts
from launcher.supervise.greeter import Visit
from launcher.vmi.guest import Guest
from launcher.vmi.guest_storage import AgentKeys, AgentPasswords

_log = logging.getLogger(__name__)


def setter_of(guest: Guest, mounts: Mounts) -> CredentialSetter | None:
    """Return what sets the guest's credentials once its agent is there; None where it has none to set."""
    return CredentialSetter(guest, mounts) if guest.credentials else None


class CredentialSetter:
    """Sets every user's keys, all of them together, and every password, each once for an agent that came.

    What fails is told, the rest goes on, and the next call asks for it again: agents are there before cloud-init
    has made the users, and one that is busy does not answer.
    """

    def __init__(self, guest: Guest, mounts: Mounts) -> None:
        """Begin with nothing set."""
        self._guest = guest
        self._mounts = mounts
        self._done: set[str] = set()

    def __call__(self, machine: Machine, visit: Visit) -> bool:
        """Set what is not set yet, all of it at the first visit to an agent; return whether everything is."""
        if visit is Visit.FIRST:
            self._done = set()
        calls = dict(self._calls(machine))
        for what, call in calls.items():
            if what not in self._done and _tell(what, call):
                self._done.add(what)
        return self._done >= calls.keys()

    def _calls(self, machine: Machine) -> Iterator[tuple[str, Callable[[], None]]]:
        for user, keys in keys_by_user(self._guest, self._mounts).items():
            yield f"keys of {user}", partial(machine.set_keys, user, keys)
        for user, password in passwords_by_user(self._guest, self._mounts).items():
            yield f"password of {user}", partial(machine.set_password, user, password)


def _tell(what: str, call: Callable[[], None]) -> bool:
    try:
        call()
    except HypervisorError as error:
        _log.warning("credentials: %s not set: %s", what, error)
        return False
    _log.info("credentials: %s set by the guest's agent", what)
    return True


def keys_by_user(guest: Guest, mounts: Mounts) -> Mapping[str, tuple[str, ...]]:
    """Return each user's keys: every line of every value of the Secrets for that user, in order."""
    found: dict[str, tuple[str, ...]] = {}
    for credential in guest.credentials:
        if isinstance(credential, AgentKeys):
            lines = (
                line.strip() for _, text in _values(credential.secret, guest, mounts) for line in text.splitlines()
            )
            keys = tuple(line for line in lines if line)
            for user in credential.users:
                found[user] = (*found.get(user, ()), *keys)
    return {user: tuple(dict.fromkeys(keys)) for user, keys in found.items() if keys}


def passwords_by_user(guest: Guest, mounts: Mounts) -> Mapping[str, str]:
    """Return each user's password: the names in the Secrets are the users'."""
    return {
        user: text.strip()
        for credential in guest.credentials
        if isinstance(credential, AgentPasswords)
        for user, text in _values(credential.secret, guest, mounts)
        if text.strip()
    }


def _values(secret: str, guest: Guest, mounts: Mounts) -> tuple[tuple[str, str], ...]:
    """Return names and values of a Secret, mounted or beside the machine; what cannot be read is told, and is empty."""
    folder = mounts.keys_of(secret)
    try:
        files = read_folder(folder) if is_folder(folder) else guest.files_beside(secret, "Secret")
        if files is None:
            _log.warning("credentials: %r is not there: is the secret %r of accessCredentials mounted?", folder, secret)
            return ()
        return tuple((name, data.decode()) for name, data in files)
    except (Unusable, UnicodeDecodeError) as error:
        _log.warning("credentials: %s", error)
        return ()

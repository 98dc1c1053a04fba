"""Kubernetes quantities such as "4", "500m" or "1.5Gi": exact numbers, counted in billionths of a unit."""

from __future__ import annotations

import re

from msgspec import Struct

_NANO = 10**9
# No quantity may be larger in magnitude (Kubernetes caps it there; here it is refused, for it is a mistake).
_MAX_UNITS = 2**63 - 1
_MAX_LENGTH = 128

_QUANTITY = re.compile(r"([+-]?)(?:(\d+)(?:\.(\d*))?|\.(\d+))(?:([numkMGTPE]|[KMGTPE]i)|[eE]([+-]?\d{1,3}))?", re.ASCII)
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}


class Quantity(Struct, frozen=True):
    """An exact amount in billionths of a unit; `binary` says only how it prints, and does not count in comparisons."""

    nano: int = 0
    binary: bool = False

    @classmethod
    def of_units(cls, units: int, *, binary: bool = False) -> Quantity:
        """Build the quantity of this many whole units (CPUs, bytes)."""
        return cls(units * _NANO, binary=binary)

    @property
    def ceil(self) -> int:
        """The whole units, rounded up: 1 for "500m"."""
        return -(-self.nano // _NANO)

    @property
    def milli(self) -> int:
        """The thousandths of a unit, rounded up: 500 for "0.5"."""
        return -(-self.nano // 10**6)

    @property
    def is_whole(self) -> bool:
        """Whether this is a whole number of units."""
        return self.nano % _NANO == 0

    def __add__(self, other: Quantity) -> Quantity:
        return Quantity(self.nano + other.nano, binary=self.binary and other.binary)

    def __eq__(self, other: object) -> bool:
        return self.nano == other.nano if isinstance(other, Quantity) else NotImplemented

    def __lt__(self, other: Quantity) -> bool:
        return self.nano < other.nano

    def __le__(self, other: Quantity) -> bool:
        return self.nano <= other.nano

    def __hash__(self) -> int:
        return hash(self.nano)

    def __bool__(self) -> bool:
        return self.nano != 0

    def __str__(self) -> str:
        """Return the canonical text: a whole number and the largest suffix that leaves it whole."""
        if self.binary and self.nano and self.is_whole:
            return _with_binary_suffix(self.nano // _NANO)
        return _with_decimal_suffix(self.nano)


def parse_quantity(text: str | int | float) -> Quantity:
    """Read a Kubernetes quantity; a number is read as its shortest text, as the API server does with JSON numbers.

    What is finer than a billionth is rounded away from zero. Raises ValueError that quotes the value and says what is
    wanted. Source: k8s.io/apimachinery/pkg/api/resource, quantity.go.
    """
    written = "" if isinstance(text, bool) else str(text)
    match = _QUANTITY.fullmatch(written) if len(written) <= _MAX_LENGTH else None
    if match is None:
        raise ValueError(f"{_quoted(text)} is not a quantity such as 4, 500m, 1.5Gi or 2e3")
    nano = _nano(match)
    if nano > _MAX_UNITS * _NANO:
        raise ValueError(f"{_quoted(text)} is larger than any quantity may be, 2^63-1")
    return Quantity(-nano if match[1] == "-" else nano, binary=match[5] in _BINARY)


def _quoted(value: object) -> str:
    quoted = repr(value)
    return quoted if len(quoted) <= 60 else f"{quoted[:56]}...{quoted[0]}"


def _nano(match: re.Match[str]) -> int:
    """Return the magnitude in billionths, rounded up."""
    whole, fraction = match[2] or "", match[3] or match[4] or ""
    suffix = match[5] or ""
    digits = int(whole + fraction) << _BINARY.get(suffix, 0)
    exponent = int(match[6] or 0) + _DECIMAL.get(suffix, 0) + 9 - len(fraction)
    scale: int = 10 ** abs(exponent)
    return digits * scale if exponent >= 0 else -(-digits // scale)


def _with_binary_suffix(units: int) -> str:
    for suffix, shift in reversed(_BINARY.items()):
        if units % (1 << shift) == 0:
            return f"{units >> shift}{suffix}"
    return str(units)


def _with_decimal_suffix(nano: int) -> str:
    for suffix, power in reversed(_DECIMAL.items()):
        scale = 10 ** (power + 9)
        if nano % scale == 0 and (nano or not suffix):
            return f"{nano // scale}{suffix}"
    return "0"

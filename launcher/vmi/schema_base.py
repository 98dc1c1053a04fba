"""What the structures of the schema have in common: their base, and the types that several of them use."""

from typing import Annotated, TypeAlias

from msgspec import Meta, Struct

Elsewhere: TypeAlias = object
# Go's uint32, where 0 is as absent.
Count = Annotated[int, Meta(ge=0, le=2**32 - 1, description="a positive integer")]
BootOrder = Annotated[int, Meta(ge=1, le=2**32 - 1, description="a positive integer")]
Seconds = Annotated[int, Meta(ge=0, le=2**31 - 1, description="a number of seconds")]


class KubeVirtStruct(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """What all of these have in common: immutable, keyword arguments, camelCase names, no other field."""


class FeatureState(KubeVirtStruct, frozen=True, kw_only=True):
    """Its presence asks for the feature, unless `enabled` says otherwise."""

    enabled: bool = True

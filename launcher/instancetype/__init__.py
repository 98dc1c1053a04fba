"""Instancetypes and preferences: found among what came with a machine, checked, and applied to it as KubeVirt does."""

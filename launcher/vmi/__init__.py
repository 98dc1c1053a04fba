"""The virtual machine instance: KubeVirt's manifest, its rules, and the guest that it asks for."""

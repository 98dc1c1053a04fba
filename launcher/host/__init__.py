"""The host: what its CPUs and memory are, and which of them this container may use."""

"""The Pod that a guest needs: what its launcher requests of Kubernetes, and the manifest that says so."""

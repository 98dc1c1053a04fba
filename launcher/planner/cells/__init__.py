"""The NUMA cells of a guest that sees the host's nodes, and the pages of memory in them."""

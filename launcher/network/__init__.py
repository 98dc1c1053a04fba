"""The devices of the networks that the launcher's Pod has: what they are, and how a guest is put on them."""

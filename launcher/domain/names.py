"""The names that our own metadata has in a domain."""

# The plan, recorded in the domain and read again when a later launcher adopts the guest.
PLAN_NAMESPACE = "urn:virt-launcher:plan:1"
PLAN_PREFIX = "launcher"

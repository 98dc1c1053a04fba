"""What becomes of the plan when the cpuset changes under a running guest."""

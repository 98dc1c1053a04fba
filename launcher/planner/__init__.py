"""The planner: which host CPU every thread of the guest gets, and why."""

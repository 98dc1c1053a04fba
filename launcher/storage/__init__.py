"""The guest's files on a machine: which they are, whether they can be used, and those that are made for it."""

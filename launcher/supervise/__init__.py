"""The supervision of a running guest: its threads, their drift, its life cycle and the one loop."""

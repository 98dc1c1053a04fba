"""The one search for the optimal placement: see launcher/planner/README.md for its words and the order of its parts."""

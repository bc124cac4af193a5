"""The running control plane: opens everything, then one TaskGroup with a task per edge. START at running.py."""

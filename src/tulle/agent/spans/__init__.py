"""Spans of this workload's calls: taken from its Envoy and its program, told to the control plane."""

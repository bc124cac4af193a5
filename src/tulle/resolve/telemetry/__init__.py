"""What is told of a workload's calls: Telemetry and MeshConfig, settled for each of its sides. START at `sides.py`."""

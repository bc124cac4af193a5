"""The SPIFFE Workload API of one workload: a process of its own beside the agent, which has no room for gRPC."""

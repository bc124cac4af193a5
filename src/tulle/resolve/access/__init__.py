"""Who may call a workload, and what must be proved: policies of `security.istio.io`, settled for one workload."""

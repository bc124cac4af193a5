"""What this instance's sidecar counts of its calls: read, kept, served as Istio's metrics, and told to the control plane.

`exposition` reads Envoy's text, `labels` says what a series means, `totals` adds up, `page` writes it down for Prometheus,
`reporting` for the control plane. START at `figures.py`.
"""

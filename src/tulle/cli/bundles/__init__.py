"""What `tulle bundle` writes: configuration for Prometheus, Grafana and an OpenTelemetry Collector, as files by their names."""

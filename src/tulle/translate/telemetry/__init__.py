"""What Envoy tells of calls: figures, access logs, spans."""

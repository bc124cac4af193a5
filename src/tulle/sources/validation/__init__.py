"""What a document must mean, one file a kind: exactly what Istio's own validation refuses, and what tulle does not do."""

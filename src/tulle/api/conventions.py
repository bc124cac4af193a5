"""What both ends of the API agree on, the control plane and who asks it."""

NO_NAMESPACE = "-"  # in the path of a resource of all namespaces
MOST_DOCUMENTS_BYTES = 64 * 1024 * 1024

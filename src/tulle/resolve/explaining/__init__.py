"""What would happen to a request, step by step, by what translation reads."""

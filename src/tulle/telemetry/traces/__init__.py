"""Traces: spans taken in, kept for a while, and found again."""

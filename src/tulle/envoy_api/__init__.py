"""The installed Envoy: where it is, whether it is the right one, and the message classes that it is built with."""

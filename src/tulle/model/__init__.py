"""The nouns that users speak: values only, no I/O, nothing of Envoy."""

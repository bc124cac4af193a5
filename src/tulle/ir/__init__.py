"""One proxy's picture in mesh words: values that resolve makes and translate reads. Types only."""

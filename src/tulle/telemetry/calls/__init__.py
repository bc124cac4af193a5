"""Single requests that sidecars have told of: the last ones that failed or were slow, and those that somebody looks at."""

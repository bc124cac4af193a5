"""One proxy's picture in mesh words, to Envoy's resources. Pure; sees the IR and Envoy's messages, never a user's resource."""

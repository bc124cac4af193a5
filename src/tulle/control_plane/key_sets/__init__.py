"""The keys of token issuers: fetched by the control plane, kept in the store, told as facts. START at keeper.py."""

"""Where Envoy takes configuration from: this control plane's one stream, or the files that its agent writes."""

from __future__ import annotations

from typing import Any

ADS: dict[str, Any] = {"ads": {}, "resource_api_version": "V3"}

# Paths are relative to Envoy's working folder, which is the agent's.
SECRETS_FOLDER = "sds"
IDENTITY, PROXY_IDENTITY, BUNDLE, SYSTEM_ROOTS = "identity", "proxy", "bundle", "roots"


def file_secret(name: str) -> dict[str, Any]:
    """An SdsSecretConfig for a secret that the agent renames into the watched folder."""
    return {
        "name": name,
        "sds_config": {
            "resource_api_version": "V3",
            "path_config_source": {
                "path": f"{SECRETS_FOLDER}/{name}.json",
                "watched_directory": {"path": SECRETS_FOLDER},
            },
        },
    }

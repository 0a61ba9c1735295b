"""The entry point of this repository as a hub model: `create_network`."""

from ghostnet.models.network import create_network

__all__ = ["create_network"]

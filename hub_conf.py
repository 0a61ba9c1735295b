"""The entry point that hub clients look for: `create_network`."""

from ghostnet.models.network import create_network

__all__ = ["create_network"]

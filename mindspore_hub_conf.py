"""The entry file that MindSpore Hub's client looks for."""

from ghostnet.models.network import create_network

__all__ = ["create_network"]

"""A GhostNet of two bottlenecks, and the command in a process that knows it."""

from dataclasses import replace

from ghostnet.network import ARCHITECTURES, GHOSTNET_1X, Block

TINY = replace(
    GHOSTNET_1X,
    blocks=(Block(3, 16, 16, 0, 1), Block(3, 48, 24, 12, 2)),
    last_channels=32,
    head_channels=64,
)

if __name__ == "__main__":
    from ghostnet import cli

    ARCHITECTURES["tiny"] = TINY
    cli.main()

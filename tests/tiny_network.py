"""Networks of a few blocks, and the command in a process that knows one."""

from dataclasses import replace

from ghostnet.models import GHOSTNET_1X, MOBILENET_V2_1X, MODELS, Block, ModelEntry

TINY = replace(
    GHOSTNET_1X,
    blocks=(Block(3, 48, 24, 12, 2),),
    last_channels=32,
    head_channels=64,
)

TINY_MOBILENET = replace(
    MOBILENET_V2_1X,
    blocks=(Block(3, 32, 16, 0, 1), Block(3, 96, 24, 0, 2), Block(3, 144, 24, 0, 1)),
    last_channels=64,
    head_channels=64,
)

TINY_MODEL = ModelEntry("tiny", "tiny", TINY)

if __name__ == "__main__":
    from ghostnet.cli.main import main

    MODELS["tiny"] = TINY_MODEL
    main()

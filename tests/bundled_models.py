"""UIDs and labels of the models that ship with the package."""

FLOWERS = "ghostnet/cpu/2.10/ghostnet_v1.0_flowers"
FLOWER_LABELS = ("daisy", "dandelion", "roses", "sunflowers", "tulips")

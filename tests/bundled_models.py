"""UIDs and labels of the models that ship with the package."""

BREEDS = "ghostnet/cpu/2.10/ghostnet_v1.0_pets"
BACKBONE = "ghostnet/cpu/2.10/ghostnet_v1.0_imagenet_distilled"
FLOWERS = "ghostnet/cpu/2.10/ghostnet_v1.0_flowers"
FLOWER_LABELS = ("daisy", "dandelion", "roses", "sunflowers", "tulips")

SHIPPED = (BREEDS, BACKBONE, FLOWERS)

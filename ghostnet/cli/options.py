"""Options that several commands share."""

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from ghostnet.runtime import Device, Execution


class DtypeChoice(str, Enum):
    """The types that the fused CPU kernels compute in, as `ghostnet.kernels.Session` takes them."""

    FLOAT32 = "float32"
    INT8 = "int8"
    BFLOAT16 = "bfloat16"


ModelOption = Annotated[
    str, typer.Option("--model", "-m", help="UID, card (file or URL), checkpoint or network.")
]
UidArgument = Annotated[str, typer.Argument(help="UID, card file or card URL.")]
CacheOption = Annotated[
    Path | None,
    typer.Option("--cache-dir", help="Cache folder. Default: $GHOSTNET_CACHE or ~/.mscache."),
]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace an existing file.")]
LabelsOption = Annotated[
    Path | None, typer.Option("--labels", help="File of class names, one per line or JSON.")
]
ShortHashOption = Annotated[
    bool, typer.Option("--short-hash", help="Accept a card with part of a SHA-256, with a warning.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document to stdout.")]
ListOption = Annotated[
    str | None,
    typer.Option(
        "--list", help="File that names images, folders and archives, one per line; - for stdin."
    ),
]
NullOption = Annotated[
    bool, typer.Option("-0", "--null", help="Names in LIST end in NUL, as in find -print0.")
]
ResumeOption = Annotated[
    bool, typer.Option("--resume", help="Try failed rows of OUT again, and add the rest.")
]
RayOption = Annotated[
    bool, typer.Option("--ray", help="Work on a Ray cluster; the rows are the same.")
]
AddressOption = Annotated[
    str | None,
    typer.Option(help="Ray cluster. Default: $RAY_ADDRESS, or a new one on this machine."),
]
UpdateOption = Annotated[
    Path | None,
    typer.Option(
        help="File to bring up to date, in place of OUT: add new images, label changed ones again, "
        "mark those whose files are gone."
    ),
]
ByContentOption = Annotated[
    bool,
    typer.Option(
        "--by-content", help="Tell changed images of UPDATE by content, not by size and time."
    ),
]
BatchOption = Annotated[int, typer.Option(min=1, help="Images per call of the network.")]
ExplainOption = Annotated[
    bool, typer.Option("--explain", help="Show in REPORT which places made the first label.")
]
FuseOption = Annotated[bool, typer.Option("--fuse/--no-fuse", help="Use the fused kernels.")]
DtypeOption = Annotated[
    DtypeChoice,
    typer.Option(case_sensitive=False, help="Type that the fused CPU kernels compute in."),
]
DeviceOption = Annotated[Device, typer.Option(case_sensitive=False, help="Device to run on.")]
ExecutionOption = Annotated[
    Execution,
    typer.Option(case_sensitive=False, help="How MindSpore runs a network that is not fused."),
]
VerboseOption = Annotated[
    bool, typer.Option("--verbose", "-v", help="Show the logs of MindSpore and Ray.")
]

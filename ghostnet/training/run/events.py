"""The log of a training run as TensorBoard reads it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ghostnet.packages import needs
from ghostnet.training.run.log import Row


@contextmanager
def event_file(folder: Path) -> Iterator[Callable[[Row], None]]:
    """Open a file of events in a folder; the block gets a function that adds an epoch.

    Raises:
        PackageError: tensorboardX is not installed.
    """
    with needs("tensorboardX", extra="tensorboard"):
        from tensorboardX import SummaryWriter
    with SummaryWriter(str(folder)) as writer:

        def write(row: Row) -> None:
            values = row.as_dict()
            epoch = int(values.pop("epoch"))
            for name, value in values.items():
                writer.add_scalar(name, value, epoch)

        yield write

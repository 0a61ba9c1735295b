"""A training run that is interrupted, as by Ctrl-C, after a number of steps."""

from collections.abc import Callable

from ghostnet.training.run.loop import Progress


def interrupt_at(step: int) -> Callable[[Progress], None]:
    def show(progress: Progress) -> None:
        if progress.step == step:
            raise KeyboardInterrupt

    return show

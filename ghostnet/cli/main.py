"""The ``ghostnet`` command: finds its verb, and turns errors into a line and a status."""

import gc
import logging
import os
import signal
import sys
import warnings
from collections.abc import Mapping, Sequence
from importlib import import_module
from io import TextIOWrapper
from typing import Annotated, Final, NoReturn, cast

import typer

from ghostnet.cli.output import VisibleFormatter, print_json, say
from ghostnet.errors import GhostNetError

INTERRUPTED = 130
"""Exit status after Ctrl-C: 128 and the number of the signal, as in a shell."""

VERBS: Final[Mapping[str, str]] = {
    "predict": "prediction",
    "eval": "evaluation",
    "explain": "explanation",
    "embed": "embedding",
    "similar": "embedding",
    "duplicates": "embedding",
    "serve": "serving",
    "finetune": "training",
    "train": "training",
    "export": "conversion",
    "convert": "conversion",
    "verify": "checks",
    "benchmark": "checks",
    "doctor": "checks",
    "hub": "hub",
}
"""The module of each verb, in the order of the help."""


def command(words: Sequence[str] = ()) -> typer.Typer:
    """Return the command with all verbs, or with one if that is the first of some words.

    The modules of the other verbs are then not imported, which would take as long as the network
    takes for 20 images.
    """
    app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, callback=options)
    first = next(iter(words), "")
    for verb in [first] if first in VERBS else VERBS:
        module = import_module(f"ghostnet.cli.{VERBS[verb]}")
        if verb == "hub":
            app.add_typer(module.app, name=verb)
        else:
            app.command(verb)(getattr(module, verb))
    return app


def print_version(wanted: bool) -> None:
    """Print the versions of this package and what it runs on, and exit."""
    if wanted:
        from ghostnet.cli.checks import versions

        for name, version in versions().items():
            print(name, version)
        raise typer.Exit()


def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=print_version, is_eager=True, help="Print versions and exit."
        ),
    ] = False,
) -> None:
    """GhostNet for MindSpore: classify images; serve, verify, train and convert models."""


def main() -> NoReturn:
    """Run the command. Exit status: 0 success, 1 failure, 2 usage error."""
    start_quickly()
    handle_signals()
    open_streams()
    # Pillow warns of large images, whose size is checked, and of odd metadata, which is ignored.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    warnings.showwarning = lambda message, *_: say(str(message))
    if logging.lastResort:
        logging.lastResort.setFormatter(VisibleFormatter())
    try:
        try:
            command(sys.argv[1:])()
        except SystemExit as stopped:
            if stopped.code == INTERRUPTED:
                say("interrupted")
            raise
        finally:
            sys.stdout.flush()
    except GhostNetError as error:
        _fail(str(error))
    except OSError as error:  # stdout is on a full disk, say
        _fail(f"{error.filename or 'output'}: {error.strerror or error}")
    sys.exit(0)


def start_quickly() -> None:
    """Keep Python from what takes time at the start and finds nothing.

    Imports make a hundred thousand objects and next to no garbage, which the collector would look
    for every 700 objects; Pydantic would look for plugins in every installed package.
    """
    gc.set_threshold(10_000)
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")


def handle_signals() -> None:
    """Let Ctrl-C and termination interrupt the command, and a second one end it at once."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as in a shell's background job
        signal.signal(signal.SIGINT, _interrupt)
    # MindSpore handles Ctrl-C by sending this signal to its own process.
    signal.signal(signal.SIGTERM, _interrupt)


def _interrupt(number: int, frame: object) -> NoReturn:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    raise KeyboardInterrupt


def open_streams() -> None:
    """Replace closed streams with the null device, and make every file name printable."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        cast(TextIOWrapper, stream).reconfigure(errors="backslashreplace")


def _fail(reason: str) -> NoReturn:
    try:
        if "--json" in sys.argv:
            print_json({"error": reason})
        sys.stdout.flush()
    except OSError:  # nothing more can be written there
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    say(reason)
    sys.exit(1)


if __name__ == "__main__":
    main()

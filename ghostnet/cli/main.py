"""The ``ghostnet`` command: assembles the verbs, and turns errors into one line and a status."""

import json
import os
import signal
import sys
from io import TextIOWrapper
from typing import Annotated, NoReturn, cast

import typer

from ghostnet.cli import checks, conversion, hub, prediction, training
from ghostnet.errors import GhostNetError

INTERRUPTED = 130
"""Exit status after Ctrl-C: 128 and the number of the signal, as in a shell."""

app = typer.Typer(
    help="GhostNet for MindSpore: classify images; verify, train and convert models.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for verb in (
    prediction.predict,
    prediction.eval,
    training.finetune,
    training.train,
    conversion.export,
    conversion.convert,
    checks.verify,
    checks.benchmark,
    checks.doctor,
):
    app.command()(verb)
app.add_typer(hub.app, name="hub")


def print_version(wanted: bool) -> None:
    """Print the versions of this package and of what it runs on, and stop."""
    if wanted:
        for name, version in checks.versions().items():
            print(name, version)
        raise typer.Exit()


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=print_version, is_eager=True, help="Print versions and exit."
        ),
    ] = False,
) -> None:
    """GhostNet for MindSpore: classify images; verify, train and convert models."""


def main() -> NoReturn:
    """Run the command. Exit status: 0 success, 1 failure, 2 usage error."""
    # MindSpore handles Ctrl-C by sending this signal to its own process.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    cast(TextIOWrapper, sys.stdout).reconfigure(errors="backslashreplace")  # for odd file names
    try:
        try:
            app()
        except SystemExit as stopped:
            if stopped.code == INTERRUPTED:
                print("ghostnet: interrupted", file=sys.stderr)
            raise
        finally:
            sys.stdout.flush()
    except GhostNetError as error:
        _fail(str(error))
    except OSError as error:  # stdout is on a full disk, say
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        _fail(f"{error.filename or 'output'}: {error.strerror}")
    sys.exit(0)


def _fail(reason: str) -> NoReturn:
    if "--json" in sys.argv:
        print(json.dumps({"error": reason}, ensure_ascii=False))
    print(f"ghostnet: {reason}", file=sys.stderr)
    sys.exit(1)


if __name__ == "__main__":
    main()

"""The command as tests call it."""

import json
import sys
import warnings

import pytest

from ghostnet.cli.main import main

FROM_A_TERMINAL = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background job ignores
from ghostnet.cli.main import main
main()
"""
"""The command as code for ``python -c``, in a process that hears Ctrl-C."""


SILENT = (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)
"""Warnings that Python does not show; the command prints the others."""


class Ghostnet:
    """Runs the command in this process and keeps what it printed."""

    def __init__(self, capfd: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
        self.capfd = capfd
        self.monkeypatch = monkeypatch

    def __call__(self, *words: object, status: int = 0) -> str:
        self.monkeypatch.setattr(sys, "argv", ["ghostnet", *map(str, words)])
        self.monkeypatch.setenv("COLUMNS", "200")
        self.capfd.readouterr()
        with warnings.catch_warnings():
            warnings.resetwarnings()
            for category in SILENT:
                warnings.simplefilter("ignore", category)
            with pytest.raises(SystemExit) as stopped:
                main()
        out, self.err = self.capfd.readouterr()
        assert stopped.value.code == status, out + self.err
        return out

    def json(self, *words: object, status: int = 0) -> object:
        return json.loads(self(*words, "--json", status=status))

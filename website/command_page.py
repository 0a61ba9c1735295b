"""The page of the command line, from the command itself."""

from collections.abc import Iterator

import typer

from ghostnet.cli import app

INTRODUCTION = """# Command line

`ghostnet VERB --help` shows the same in a terminal. With `--json`, stdout holds one JSON document
and nothing else; logs and progress go to stderr. Exit status is 0 for fine, 1 for work that failed,
2 for words that were wrong.
"""


def page() -> str:
    """The page as Markdown: a section for each verb, with a table of its arguments and options."""
    command = typer.main.get_command(app)
    return "\n".join([INTRODUCTION, *_sections(command, typer.Context(command), "ghostnet")])


def _sections(command: typer.core.TyperCommand, context: typer.Context, name: str) -> Iterator[str]:
    for verb, child in sorted(getattr(command, "commands", {}).items()):
        child_context = typer.Context(child, parent=context, info_name=verb)
        if hasattr(child, "commands"):
            yield from _sections(child, child_context, f"{name} {verb}")
        else:
            yield from _section(child, child_context, f"{name} {verb}")


def _section(command: typer.core.TyperCommand, context: typer.Context, name: str) -> Iterator[str]:
    usage = " ".join([name, *command.collect_usage_pieces(context)])
    yield f"\n## {name.removeprefix('ghostnet ')}\n\n{command.help}\n\n```console\n$ {usage}\n```\n"
    yield "| | |\n| --- | --- |"
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record and parameter.name != "help":
            words, text = (part.replace("|", "\\|").replace("[", "\\[") for part in record)
            yield f"| `{words}` | {text} |"

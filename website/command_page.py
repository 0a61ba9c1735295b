"""The page of the command line, generated from the command itself."""

from collections.abc import Iterator

import typer

from ghostnet.cli.main import command

INTRODUCTION = """# Command line

`ghostnet COMMAND --help` shows the same in a terminal, `ghostnet --version` the versions of the
package and of what it runs on. With `--json`, stdout holds one JSON document and nothing else; logs
and progress go to stderr. Exit status: 0 success, 1 failure, 2 usage error.
"""


def page() -> str:
    """Return the page as Markdown: a section for each command, with its arguments and options."""
    group = typer.main.get_command(command())
    return "\n".join([INTRODUCTION, *_sections(group, typer.Context(group), "ghostnet")])


def _sections(command: typer.core.TyperCommand, context: typer.Context, name: str) -> Iterator[str]:
    for verb, child in sorted(getattr(command, "commands", {}).items()):
        child_context = typer.Context(child, parent=context, info_name=verb)
        if hasattr(child, "commands"):
            yield from _sections(child, child_context, f"{name} {verb}")
        else:
            yield from _section(child, child_context, f"{name} {verb}")


def _section(command: typer.core.TyperCommand, context: typer.Context, name: str) -> Iterator[str]:
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    usage = " ".join([name, *map(_word, arguments), "[OPTIONS]"])
    yield f"\n## {name.removeprefix('ghostnet ')}\n\n{command.help}\n\n```console\n$ {usage}\n```\n"
    yield "| argument or option | meaning |\n| --- | --- |"
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record and parameter.name != "help":
            words = _word(parameter) if parameter in arguments else record[0].replace("|", "\\|")
            text = record[1].replace("|", "\\|").replace("[", "\\[")
            yield f"| `{words}` | {text} |"


def _word(argument: typer.core.TyperArgument) -> str:
    """Return an argument as usage lines write it."""
    word = argument.metavar or str(argument.name).upper()
    return word + "…" if argument.nargs == -1 else word

"""Options of verbs for the settings of a training run."""

from collections.abc import Callable, Iterable, Mapping
from inspect import Parameter, Signature, signature
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_type_hints

import typer

from ghostnet.training.config import PARTS, SETTINGS, TABLE, DataSettings

if TYPE_CHECKING:
    from ghostnet.data.label_table import LabelTable


def with_settings(names: Iterable[str]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Replace ``**settings`` of a verb by an option for each of some settings of a training run."""
    options = [_option(name) for name in names]

    def replaced(verb: Callable[..., None]) -> Callable[..., None]:
        own = signature(verb).parameters.values()
        parameters = [p for p in own if p.kind is not Parameter.VAR_KEYWORD] + options
        verb.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
        verb.__annotations__ = {p.name: p.annotation for p in parameters}
        return verb

    return replaced


def _option(name: str) -> Parameter:
    """Return the option of a setting; without it on the command line, its value is None."""
    part, field = SETTINGS[name]
    kind, *_, text = get_args(get_type_hints(PARTS[part], include_extras=True)[field])
    if get_args(kind)[1:] == (Ellipsis,):  # Typer's type for an option that is repeated
        kind = list[get_args(kind)[0]]  # type: ignore[misc]
    choice = typer.Option(help=text, rich_help_panel=part.capitalize())
    option = Annotated[kind | None, choice]  # type: ignore[valid-type]
    return Parameter(name, Parameter.KEYWORD_ONLY, default=None, annotation=option)


def given_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that are on the command line."""
    return {name: value for name, value in settings.items() if value not in (None, [])}


def table_of(settings: Mapping[str, Any]) -> "LabelTable | None":
    """Return the table of labels that is on the command line."""
    columns = {name: settings[name] for name in TABLE if name in settings}
    if columns and "labels_csv" not in columns:
        (first, *_) = columns
        raise typer.BadParameter(
            "a column needs --labels-csv", param_hint=f"--{first}".replace("_", "-")
        )
    return DataSettings(**columns).table

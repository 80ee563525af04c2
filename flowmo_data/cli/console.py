"""Parts that all commands share: the console, progress, one-line errors, options that take several values."""

from __future__ import annotations

import functools
import json
import logging
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.logging import RichHandler
from rich.measure import Measurement
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from flowmo_data.cli import INTERRUPTED
from flowmo_data.errors import FlowmoDataError, shown
from flowmo_data.sources import Store, find_left_out, is_url
from flowmo_data.sources.paths import relative

console = Console()
_NAMED = re.compile(r"([^/=]+)=(.+)", re.DOTALL)
_WIDEST = 100_000


def progress(*, timed: bool = True) -> Progress:
    """Return a progress display with one line per task; `timed` shows the time that each has taken."""
    columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()]
    return Progress(*columns, *([TimeElapsedColumn()] if timed else []), console=console)


def say(line: str) -> None:
    """Print a line as it is; only the terminal may break it."""
    console.print(line, highlight=False, markup=False, soft_wrap=True)


def show(table: Table) -> None:
    """Print a table. Only a terminal limits its width: in a file or a pipe, each row is one line."""
    if console.is_terminal:
        console.print(table)
        return
    width = Measurement.get(console, console.options.update(max_width=_WIDEST), table).maximum
    Console(width=max(width, console.width)).print(table)


def parse_files(arguments: Sequence[str]) -> str | dict[str, str]:
    """Return what the arguments name: one folder, or several by name, `NAME=FOLDER` each.

    A folder that exists is that folder, even if there is a "=" in its path.
    """
    if len(arguments) == 1 and (os.path.exists(arguments[0]) or not _NAMED.match(arguments[0])):
        return arguments[0]
    pairs = [_NAMED.match(argument) for argument in arguments]
    named = {pair[1]: pair[2] for pair in pairs if pair}
    if len(named) < len(arguments):
        raise click.UsageError(
            f"{' '.join(arguments)}: give one folder, or a different name for each: mixture=mix/ vocals=vocals/ (files "
            "of the same name are then aligned with each other)"
        )
    return named


def left_out_of(files: str | Mapping[str, str], store: Store, *, whole_tars: bool = False) -> dict[str, str]:
    """Return what is left out of folders though it may be audio: reasons, by path. Args as for `find_sources`."""
    folders = [files] if isinstance(files, str) else list(files.values())
    found = (find_left_out(folder, store=store, whole_tars=whole_tars) for folder in folders)
    return {path: reason for each in found for path, reason in each.items()}


def show_left_out(files: str | Mapping[str, str], storage_options: Mapping[str, Any]) -> dict[str, str]:
    """Print what is left out of folders though it may be audio; return the reasons, by path."""
    left_out = left_out_of(files, Store(storage_options))
    if left_out:
        show(reasons_table("left out", left_out, root_of(files)))
    return left_out


def root_of(files: str | Mapping[str, str]) -> str:
    """Return the folder that paths are shown relative to."""
    return files if isinstance(files, str) and (os.path.isdir(files) or is_url(files)) else "."


def reasons_table(title: str, files: Mapping[str, str], root: str) -> Table:
    """Return a table of files and their problems, with paths relative to `root`."""
    table = Table(title, "why", box=box.SIMPLE_HEAD, pad_edge=False)
    for path, reason in files.items():
        cells = (shown(relative(path, root)), shown(reason))
        table.add_row(*(Text(cell, overflow="fold") for cell in cells))
    return table


class _KeyValue(click.ParamType):  # type: ignore[type-arg]
    """`KEY=VALUE`, as a dictionary. VALUE is JSON, or else text. A dot in KEY leads into a dictionary."""

    name = "KEY=VALUE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, Any]:
        """Return the dictionary."""
        key, is_pair, text = value.partition("=")
        if not is_pair:
            self.fail(f"{value!r} is not KEY=VALUE", param, ctx)
        try:
            options = json.loads(text)
        except json.JSONDecodeError:
            options = text
        for name in reversed(key.split(".")):
            options = {name: options}
        return dict(options)


def _merged(context: click.Context, _: click.Parameter, given: Iterable[dict[str, Any]]) -> dict[str, Any]:  # noqa: ARG001
    options: dict[str, Any] = {}
    for each in given:
        _merge(options, each)
    return options


def _merge(options: dict[str, Any], more: dict[str, Any]) -> None:
    for key, value in more.items():
        if isinstance(value, dict) and isinstance(options.get(key), dict):
            _merge(options[key], value)
        else:
            options[key] = value


with_storage_options = click.option(
    "--storage-option",
    "storage_options",
    multiple=True,
    type=_KeyValue(),
    callback=_merged,
    help="An option of fsspec for URLs, for example anon=true or client_kwargs.endpoint_url=http://HOST; repeatable.",
)
"""the option of commands that take URLs"""


def check_writable(path: Path, option: str) -> None:
    """Raise before the work if its result could not be written.

    Raises:
        FlowmoDataError: the file cannot be written.
    """
    existed = path.exists()
    try:
        with path.open("a"):
            pass
    except OSError as error:
        raise FlowmoDataError(f"{option} {path}: it cannot be written ({error.strerror})") from error
    if not existed:
        path.unlink()


def plain_errors(command: Callable[..., None]) -> Callable[..., None]:
    """Wrap a command to print its errors in one line and exit with status 1; 130 after Ctrl-C."""

    @functools.wraps(command)
    def guarded(*args: Any, **kwargs: Any) -> None:
        logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[RichHandler(console=console)])
        try:
            command(*args, **kwargs)
        except (FlowmoDataError, OSError) as error:
            click.echo(f"flowmo-data: {error}", err=True)
            sys.exit(1)
        except KeyboardInterrupt:
            click.echo("Aborted!", err=True)
            sys.exit(INTERRUPTED)

    return guarded


class SpacedLists(click.Command):
    """A command with repeatable options that take several values after one name: `--workers 0 1 2`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Repeat the option's name before each of its values, as click takes them."""
        types = {
            name: option.type for option in self.params if getattr(option, "multiple", False) for name in option.opts
        }
        expanded: list[str] = []
        name = ""
        for position, arg in enumerate(args):
            if arg in types:
                name = arg
                if position + 1 == len(args):
                    expanded.append(arg)  # click reports the missing value
            elif name and (args[position - 1] == name or _fits(types[name], arg)):
                expanded += [name, arg]
            else:
                name = ""
                expanded.append(arg)
        return super().parse_args(ctx, expanded)


def _fits(value_type: Any, value: str) -> bool:
    try:
        value_type.convert(value, None, None)
    except click.BadParameter:
        return False
    return True

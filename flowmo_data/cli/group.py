"""The command `flowmo-data`, and its subcommands."""

from __future__ import annotations

import click

from flowmo_data.cli.bench import bench
from flowmo_data.cli.check import check
from flowmo_data.cli.index import index
from flowmo_data.cli.inspect import inspect
from flowmo_data.cli.merge import merge
from flowmo_data.cli.pack import pack
from flowmo_data.cli.version import version_text


def _print_version(context: click.Context, _: click.Parameter, is_given: bool) -> None:
    if is_given and not context.resilient_parsing:
        click.echo(version_text())
        context.exit()


@click.group(name="flowmo-data", context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show the version and the decoder in use, and exit.",
)
def flowmo_data_command() -> None:
    """Stream audio into PyTorch training."""


for _command in (bench, check, index, inspect, merge, pack):
    flowmo_data_command.add_command(_command)

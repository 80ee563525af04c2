"""The command `flowmo-data`, and its subcommands."""

from __future__ import annotations

import click

from flowmo_data import __version__
from flowmo_data.cli.bench import bench
from flowmo_data.cli.check import check
from flowmo_data.cli.index import index
from flowmo_data.cli.inspect import inspect


@click.group(name="flowmo-data", context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="flowmo-data")
def flowmo_data_command() -> None:
    """Stream audio into PyTorch training."""


for _command in (bench, check, index, inspect):
    flowmo_data_command.add_command(_command)

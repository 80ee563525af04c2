"""The command `flowmo-data`. Exit status: 0 done, 1 failed, 2 wrong usage."""

from __future__ import annotations

import io
import sys


def main() -> None:
    """Run the command line, or name the package that it needs. `--version` needs none."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # for a terminal that knows only ASCII
    if sys.argv[1:] == ["--version"]:
        from flowmo_data.cli.version import version_text

        sys.stdout.write(version_text() + "\n")
        return
    try:
        from flowmo_data.cli.group import flowmo_data_command
    except ModuleNotFoundError as error:
        sys.exit(f"flowmo-data needs the package {error.name}: pip install 'flowmo_data[cli]'")
    flowmo_data_command()

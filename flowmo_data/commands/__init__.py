"""What the command line can do, and how it says so."""

from flowmo_data.commands.group import flowmo_data_command

__all__ = ["flowmo_data_command"]

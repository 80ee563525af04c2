"""The option `--part`."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import click

from flowmo_data.errors import OptionError
from flowmo_data.sources.corpus_parts.part import CorpusPart

Command = TypeVar("Command", bound=Callable[..., None])


class _Part(click.ParamType):  # type: ignore[type-arg]
    """`3/16`, as a `CorpusPart`."""

    name = "K/N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> CorpusPart:
        """Return the part."""
        numbers = re.fullmatch(r"(-?\d+)/(-?\d+)", value)
        if not numbers:
            self.fail(f"{value!r} is not K/N, such as 3/16 for the third of 16 parts", param, ctx)
        number, count = int(numbers[1]), int(numbers[2])
        try:
            return CorpusPart(number, count)
        except OptionError:
            count = max(count, 1)
            self.fail(
                f"{value} is not a part: parts count from 1, so the first of {count} is 1/{count} and the last "
                f"{count}/{count}; in a Slurm array: --array=1-{count}",
                param,
                ctx,
            )


def with_part(what: str) -> Callable[[Command], Command]:
    """Return the option `--part` for a command that does `what` with the files of a part."""
    return click.option(
        "--part",
        type=_Part(),
        help=f"{what} only the K-th of N parts of the files, for flowmo-data merge. K counts from 1.",
    )

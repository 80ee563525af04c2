"""The weights of a mixture over time: stages, which all processes of a rank share.

A training loop changes weights in the main process, while workers work ahead. So a stage begins at a place that no
worker has reached, and the main process writes it to a log before it asks a worker for that place:

    ["add", RANK, [STAGE, EPOCH, PLACE]]   a stage after the others; those that end before a place are forgotten
    ["restore", RANK, STAGES]              the stages of a state, in place of all others

A dataset may be made before ranks are forked from one process, so each line names its rank; null means all.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from multiprocessing.context import get_spawning_popen
from typing import Any

from flowmo_data.runtime.shared_log import SharedLog


@dataclass(frozen=True, slots=True)
class Stage:
    """A stretch of a mixture with the same weights."""

    epoch: int
    """its first epoch"""
    place: int
    """the first place in that epoch; 0 unless the mixture is endless"""
    weights: tuple[float, ...]
    """by set"""
    taken: tuple[int, ...]
    """frames of each set that came before it; those of an endless mixture since the start of the epoch"""
    unit: int = 0
    """see `SetOrder`; 0 if it is not known yet"""

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Stage:
        """Return the stage that a state holds."""
        return cls(state["epoch"], state["place"], tuple(state["weights"]), tuple(state["taken"]), state["unit"])

    @property
    def begin(self) -> tuple[int, int]:
        """Its first epoch, and the first place in it."""
        return self.epoch, self.place

    def from_epoch(self, epoch: int) -> Stage:
        """Return a stage with these weights that begins with an epoch, and knows of no earlier frames."""
        return replace(self, epoch=epoch, place=0, taken=(0,) * len(self.taken))


class Stages:
    """The stages of a mixture, in the order in which they were made."""

    def __init__(self, first: Stage) -> None:
        self._shared = SharedLog()
        self._origin: dict[int | None, list[Stage]] = {None: [first]}  # before the first line
        self._rows, self._place = dict(self._origin), 0

    def add(self, stage: Stage, rank: int, world_size: int, *, reached: tuple[int, int]) -> None:
        """Add a stage, in this process and in all its workers, which have `reached` an epoch and a place."""
        self._write("add", rank, world_size, [asdict(stage), *reached])

    def restore(self, stages: Sequence[Stage], rank: int, world_size: int) -> None:
        """Replace all stages, in this process and in all its workers."""
        if list(stages) != self.of(rank):
            self._write("restore", rank, world_size, [asdict(stage) for stage in stages])

    def of(self, rank: int) -> list[Stage]:
        """Return the stages of a rank."""
        lines, self._place = self._shared.read_from(self._place)
        for line in lines:
            kind, named, value = json.loads(line)
            for each in list(self._rows) if named is None else [named]:
                stages = self._rows.get(each, self._rows[None])
                if kind == "add":
                    self._rows[each] = [*_from(stages, value[1], value[2]), Stage.of(value[0])]
                else:
                    self._rows[each] = [Stage.of(stage) for stage in value]
        return self._rows.get(rank, self._rows[None])

    def at(self, rank: int, epoch: int, place: int = 0) -> Stage:
        """Return the stage of a place; of one before all stages, the weights of the first."""
        first = _from(self.of(rank), epoch, place)[0]
        return first if first.begin <= (epoch, place) else first.from_epoch(0)

    def state(self, rank: int, epoch: int, place: int) -> list[Stage]:
        """Return the stage of a place, and those that begin later."""
        return [self.at(rank, epoch, place), *_from(self.of(rank), epoch, place)[1:]]

    def _write(self, kind: str, rank: int, world_size: int, value: Any) -> None:
        self._shared.append(json.dumps([kind, None if world_size == 1 else rank, value]))

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        if get_spawning_popen() is None:  # a copy, which shares nothing
            self.of(0)
            state["_origin"] = dict(self._rows)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._rows, self._place = dict(self._origin), 0  # a spawned worker replays all lines


def _from(stages: list[Stage], epoch: int, place: int) -> list[Stage]:
    """Return the stages from the one of a place on."""
    begun = [number for number, stage in enumerate(stages) if stage.begin <= (epoch, place)]
    return stages[begun[-1] :] if begun else stages

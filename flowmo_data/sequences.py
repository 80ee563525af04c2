"""Sequences whose items are found when they are asked for."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar, TypeVar, overload

T = TypeVar("T")


class FoundSequence(Sequence[T]):
    """A sequence of which a subclass gives the length, and the item at an index from 0 on: none below 0 is taken."""

    _items: ClassVar[str]
    """what they are, for messages"""

    @abstractmethod
    def _find(self, index: int) -> T:
        """The item at an index that there is."""

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        if isinstance(index, slice):
            return [self._find(i) for i in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(f"there are {len(self)} {self._items}, none at {index}")
        return self._find(index)

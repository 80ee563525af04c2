"""Rows of Arrow columns as dictionaries that the DataLoader's standard collate function takes.

A million dictionaries would cost a gigabyte in every worker. Arrow columns are a few buffers, which forked workers
share. A row becomes Python objects only when it is asked for.

The standard collate function refuses None. So gaps are filled: "" for text, NaN for numbers, an empty list for a list.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from flowmo_data.errors import FilesError
from flowmo_data.runtime.extras import import_extra


def import_pyarrow(user: str) -> Any:
    """Import pyarrow with the modules that are used here.

    Args:
        user: the feature that needs it, for the message.

    Raises:
        MissingPackageError: it is not installed.
    """
    import_extra("pyarrow.parquet", user=user)
    import_extra("pyarrow.compute", user=user)
    return import_extra("pyarrow", user=user)


class Rows:
    """A view of Arrow columns, row by row.

    Args:
        columns: Arrow arrays of one length, by name.

    Raises:
        FilesError: a column has a type that has no value in Python, or none that can be collated.
    """

    def __init__(self, columns: dict[str, Any]) -> None:
        self._columns = {name: _column(name, array) for name, array in columns.items()}

    def __getitem__(self, row: int) -> dict[str, Any]:
        """Return a row: str, int, float, bool, bytes, and lists and dictionaries of these, by the column's name."""
        return {name: column[row].as_py() for name, column in self._columns.items()}


def _column(name: str, array: Any) -> Any:
    pa = import_pyarrow("a table")
    try:
        return filled(array)
    except pa.ArrowException as error:
        raise FilesError(
            f"the column {name!r} has the type {array.type}, which cannot be emitted ({error}); leave it out, or store "
            "it as text or numbers"
        ) from error


def filled(array: Any) -> Any:  # noqa: PLR0911
    """Return an Arrow array without nulls, of a type that Python and the standard collate function know.

    Whole numbers and truth values with gaps become floats, as NaN is one. Dates and times become text in ISO format.
    """
    pa = import_pyarrow("a table")
    types, kind = pa.types, array.type
    if types.is_dictionary(kind):
        return filled(array.dictionary_decode())
    if types.is_struct(kind) and not kind.num_fields:
        return pa.array([{}] * len(array), kind)
    if types.is_struct(kind):
        names = [kind.field(index).name for index in range(kind.num_fields)]
        return pa.StructArray.from_arrays([filled(each) for each in array.flatten()], names)
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        lengths = pa.compute.fill_null(pa.compute.list_value_length(array), 0).to_numpy(zero_copy_only=False)
        offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
        return pa.LargeListArray.from_arrays(pa.array(offsets), filled(array.flatten()))
    if types.is_boolean(kind) and array.null_count:
        array = array.cast(pa.int8())
        kind = array.type
    if (types.is_integer(kind) and array.null_count) or types.is_decimal(kind) or types.is_floating(kind):
        return pa.compute.fill_null(array.cast(pa.float64(), safe=False), float("nan"))
    if types.is_integer(kind) or types.is_boolean(kind):
        return array
    if types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind):
        return pa.compute.fill_null(array, b"\0" * kind.byte_width if types.is_fixed_size_binary(kind) else b"")
    return pa.compute.fill_null(array.cast(pa.large_string()), "")

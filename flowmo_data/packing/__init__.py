"""Tar shards from files, as WebDataset has them."""

from flowmo_data.packing.planning import Plan, PlannedShard, plan_shards
from flowmo_data.packing.writing import ShardError, check_folder, is_finished, remove_unfinished, write_shard

__all__ = [
    "Plan",
    "PlannedShard",
    "ShardError",
    "check_folder",
    "is_finished",
    "plan_shards",
    "remove_unfinished",
    "write_shard",
]

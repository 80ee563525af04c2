"""Several sets in one epoch, in fixed proportions: which set each place of the order has, for any rank and worker."""

from flowmo_data.epochs.mixtures.from_files import MixedFileStream, ReachedInMixedFiles
from flowmo_data.epochs.mixtures.from_index import MixedIndexedStream, ReachedInMixture
from flowmo_data.epochs.mixtures.sets import MixedSpan, MixedStream, Mixture, checked_weights, naming
from flowmo_data.epochs.mixtures.stages import Stage, Stages
from flowmo_data.epochs.mixtures.turns import turn_length

__all__ = [
    "MixedFileStream",
    "MixedIndexedStream",
    "MixedSpan",
    "MixedStream",
    "Mixture",
    "ReachedInMixedFiles",
    "ReachedInMixture",
    "Stage",
    "Stages",
    "checked_weights",
    "naming",
    "turn_length",
]

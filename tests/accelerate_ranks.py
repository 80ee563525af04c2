"""A program of one rank: it writes down the frames that a loader prepared by Accelerate gives it.

A frame is the first valid sample of a ramp, on which every sample of the folder is another number.
"""

import json
import sys
from pathlib import Path

import torch
from accelerate import Accelerator, DataLoaderConfiguration, skip_first_batches
from torch.utils.data import ChainDataset, DataLoader, IterableDataset

from flowmo_data import MixedAudioDataset, ResumableDataLoader, StreamingAudioDataset


class Wrapping(IterableDataset):
    """A dataset around another one."""

    def __init__(self, inner):
        self.inner = inner

    def __iter__(self):
        return iter(self.inner)


WRAPPERS = {"": lambda dataset: dataset, "own": Wrapping, "chain": lambda dataset: ChainDataset([dataset])}


def main():
    options = json.loads(sys.argv[2])
    configuration = DataLoaderConfiguration(
        dispatch_batches=options["dispatch"], split_batches=options.get("split", False)
    )
    accelerator = Accelerator(cpu=True, dataloader_config=configuration)
    place = {"rank": accelerator.process_index, "world_size": 2} if options.get("given") else {}
    dataset = StreamingAudioDataset(
        options["files"], samples_per_frame=500, framing="drop", channels=1, shuffle_buffer_size=20, **place
    )
    if options.get("mixed"):
        folder = Path(options["files"]).with_suffix("")
        made = {
            name: StreamingAudioDataset(
                options["files"], samples_per_frame=500, framing="drop", channels=1, shuffle_buffer_size=20,
                exclude=[folder / f"{number}.wav" for number in left_out],
            )
            for name, left_out in (("a", range(5)), ("b", range(5, 9)))
        }  # fmt: skip
        dataset = MixedAudioDataset(made, weights={"a": 4, "b": 5}, stop="all")
    make = ResumableDataLoader if options.get("resumable") else DataLoader
    context = {"multiprocessing_context": options["context"]} if "context" in options else {}
    loader = make(
        WRAPPERS[options.get("wrapper", "")](dataset), batch_size=2, num_workers=options["num_workers"], **context
    )
    if options["prepared"]:
        loader = accelerator.prepare(loader)
    elif options.get("skip"):
        loader = skip_first_batches(loader, 0)
    epochs = [[int(frame[0, 0]) for batch in loader for frame in torch.as_tensor(batch)] for _ in range(2)]
    lengths = [len(dataset), len(loader)] if options.get("sized") else []
    written = {"epochs": epochs, "lengths": lengths, "complete": dataset.report().is_complete}
    Path(sys.argv[1]).with_suffix(f".{accelerator.process_index}").write_text(json.dumps(written))
    accelerator.end_training()


if __name__ == "__main__":
    main()

"""Train on several GPUs, or in several processes on a CPU, with torch's DistributedDataParallel.

    torchrun --nproc-per-node 2 examples/train_ddp.py [FILES]

Every rank gets frames of its own: the dataset looks up its rank, and no sampler is needed. Without torchrun, the job
has one rank.
"""

from __future__ import annotations

import os
from typing import Any

import torch
import torch.distributed as dist
from autoencoder import Autoencoder, noise_to_signal
from harness import LossBar, files_or_demo, parser, run, summary
from torch.nn.parallel import DistributedDataParallel

from flowmo_data import ResumableDataLoader, StreamingAudioDataset


def main() -> None:
    """Train, as one rank of the job."""
    args = parser(__doc__, max_steps=100).parse_args()
    device = join_the_job()
    is_first = dist.get_rank() == 0
    files = [files_or_demo(args.files) if is_first else None]
    dist.broadcast_object_list(files)  # the others wait until the demo corpus is made
    dataset = StreamingAudioDataset(
        files[0],
        samples_per_frame=args.samples_per_frame,
        batch_size=args.batch_size,  # per rank
        repeat=True,  # no rank runs out of frames, so all take the same number of steps
    )
    on_gpu = device.type == "cuda"
    loader = ResumableDataLoader(dataset, batch_size=None, num_workers=args.num_workers, pin_memory=on_gpu)
    torch.manual_seed(0)
    model = DistributedDataParallel(Autoencoder().to(device))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)

    with LossBar(args.max_steps, visible=is_first) as bar:
        for _, batch in zip(range(args.max_steps), loader, strict=False):
            batch = batch.to(device, non_blocking=True)
            loss = noise_to_signal(model(batch), batch)
            optimizer.zero_grad()
            loss.backward()  # averages the gradients over the ranks
            optimizer.step()
            bar.step(loss.item())  # of this rank's batch

    losses: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(losses, bar.losses)
    if is_first:
        for rank, of_rank in enumerate(losses):
            print(f"rank {rank}: {summary(of_rank)}")
    dist.destroy_process_group()


def join_the_job() -> torch.device:
    """Join the job as the rank from torchrun, or as its only rank, and return the device: a GPU if there is one."""
    on_gpu = torch.cuda.is_available()
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if on_gpu else torch.device("cpu")
    if on_gpu:
        torch.cuda.set_device(device)
    alone = {} if "RANK" in os.environ else {"store": dist.HashStore(), "rank": 0, "world_size": 1}
    dist.init_process_group("nccl" if on_gpu else "gloo", **alone)
    return device


if __name__ == "__main__":
    run(main)

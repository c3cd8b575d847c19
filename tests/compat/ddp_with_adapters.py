"""Two processes train a model with LoRA adapters under DDP, which does not search for unused parameters.

    torchrun --nproc-per-node 2 -m tests.compat.ddp_with_adapters CLASS

Each prints the sum of its trained weights after three steps.
"""

import sys

import peft
import torch
from torch.nn.parallel import DistributedDataParallel

import lxmert.pt
from tests.compat.test_peft import tensors
from tests.small import small_config, small_inputs, small_labels


def main(name: str) -> None:
    """Train for three steps."""
    torch.distributed.init_process_group("gloo")
    rank = torch.distributed.get_rank()
    torch.manual_seed(0)
    model = getattr(lxmert.pt, name)(small_config(name))
    model = peft.get_peft_model(model, peft.LoraConfig(r=2, target_modules=["query", "value"]))
    parallel = DistributedDataParallel(model.train())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    given = tensors({**small_inputs(name, seed=rank), **small_labels(name, seed=rank)})
    for _ in range(3):
        optimizer.zero_grad()
        parallel(**given).loss.backward()
        optimizer.step()
    trained = torch.stack([p.detach().double().sum() for p in model.parameters() if p.requires_grad])
    # One write, so that the lines of two processes do not mix.
    sys.stdout.write(f"trained {trained.sum().item()!r}\n")
    sys.stdout.flush()
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1])

"""How the processes of a training run start: with Lightning Fabric, on the CPU or on GPUs."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import torch
from torch import nn


def start_fabric(strategy: str, device: str, shard: Callable[[nn.Module, Any], nn.Module]) -> tuple[Any, str]:
    """Start Fabric in this process, and with it the process group.

    Args:
        strategy, device: see `make_engine`.
        shard: shards a model over a device mesh, for FSDP2.

    Returns:
        Fabric, and the strategy that "auto" stands for.

    Raises:
        ImportError, ValueError: see `make_engine`.
    """
    try:
        from lightning_fabric import Fabric
        from lightning_fabric.plugins.environments import LightningEnvironment, TorchElasticEnvironment
        from lightning_fabric.strategies import DDPStrategy, ModelParallelStrategy
    except ImportError:
        raise ImportError(
            'Training in PyTorch needs Lightning Fabric. Install it with: pip install "lxmert[train-pt]".'
        ) from None

    launched = torch.distributed.is_available() and torch.distributed.is_torchelastic_launched()
    world = int(os.environ["WORLD_SIZE"]) if launched else 1
    here = int(os.environ["LOCAL_WORLD_SIZE"]) if launched else 1
    if strategy == "auto":
        strategy = "ddp" if world > 1 else "single"
    if strategy == "single" and world > 1:
        raise ValueError(f"strategy 'single' is one process; torchrun started {world}. Use 'ddp' or 'fsdp'.")
    device = device if device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    gpus = torch.cuda.device_count()
    if device == "cuda" and not gpus:
        raise ValueError(
            "device 'cuda' needs a GPU that PyTorch can use, and it sees none. Use device 'cpu' or 'auto'."
        )
    if device == "cuda" and gpus < here:
        raise ValueError(
            f"Every process needs a GPU of its own; this machine has {gpus} for {here}. Start torchrun with "
            "--nproc-per-node of at most that many, or use device 'cpu'."
        )
    chosen: Any = "auto"
    if strategy == "ddp":
        # Gradients are views of the communication buckets, which saves one copy of all of them.
        chosen = DDPStrategy(gradient_as_bucket_view=True)
    elif strategy == "fsdp":
        chosen = ModelParallelStrategy(shard, data_parallel_size=world, tensor_parallel_size=1)
    fabric = Fabric(
        accelerator=device,
        devices=here,
        num_nodes=world // here,
        strategy=chosen,
        precision="32-true",
        plugins=[TorchElasticEnvironment() if launched else LightningEnvironment()],
    )
    fabric.launch()
    return fabric, strategy

"""Training in one process or in several, with Lightning Fabric: one process, DDP, FSDP2, on the CPU or on GPUs.

The engine hides these from the trainer. Fabric, which `fabric.py` starts, places the model, wraps it and delays the
exchange of gradients. Dtypes are set here, because Fabric's mixed precision rounds the inputs before the model reads
them, and has no float64 for FSDP2.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer

from lxmert.pt.cross_layer import CrossLayer
from lxmert.pt.layers import TransformerLayer
from lxmert.pt.pretrained import PreTrainedModel
from lxmert.utils.messages import first_few
from lxmert.weights.naming.key_mapping import normalize_key

from .fabric import start_fabric
from .optimizers import load_optimizer_state, optimizer_state

STRATEGIES = ("auto", "single", "ddp", "fsdp")
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.float32, "float64": torch.float64}  # dtypes of the weights
# What FSDP2 gathers, computes and frees as one. Everything else belongs to the root: the embeddings and the heads, so
# that a word head finds the table that it is tied to.
WRAP_UNITS = (TransformerLayer, CrossLayer)


def make_engine(strategy: str = "auto", precision: str = "float32", device: str = "auto") -> Engine:
    """Make the engine of this process. Under `torchrun` every process makes its own.

    Args:
        strategy: "single" for one process; "ddp", each process has a copy of the model; "fsdp" (FSDP2), where each
            has a shard of every layer; "auto" takes "ddp" if there are several processes, else "single".
        precision: "float32"; "bfloat16", which computes under autocast and keeps weights, gradients and the optimizer
            in float32; or "float64".
        device: "cpu"; "cuda", one GPU for each process; "auto" takes GPUs where PyTorch sees any.

    Raises:
        ImportError: Lightning Fabric is not installed.
        ValueError: an unknown choice, or one that does not fit the number of processes or GPUs.
    """
    for name, given, known in (
        ("strategy", strategy, STRATEGIES),
        ("precision", precision, tuple(PRECISIONS)),
        ("device", device, ("auto", "cpu", "cuda")),
    ):
        if given not in known:
            raise ValueError(f"{name} must be one of {', '.join(known)}; got {given!r}.")
    return Engine(*start_fabric(strategy, device, _shard), precision)


class Engine:
    """The same calls for one process and for several. Made by `make_engine`.

    Every process calls every method, in the same order, because most of them communicate.

    Attributes:
        strategy: "single", "ddp" or "fsdp".
        precision: "float32", "bfloat16" or "float64".
        rank: which process this is, from 0.
        world: how many there are.
        is_main: whether this is the one that writes files and messages.
        device: where this process computes.
    """

    def __init__(self, fabric: Any, strategy: str, precision: str):
        self._fabric = fabric
        self.strategy = strategy
        self.precision = precision
        self.rank: int = fabric.global_rank
        self.world: int = fabric.world_size
        self.is_main = self.rank == 0
        self.device: torch.device = fabric.device

    def prepare(
        self, model: PreTrainedModel, make_optimizer: Callable[[Any], Optimizer] | None = None
    ) -> tuple[nn.Module, Any]:
        """Place and wrap a model, then make its optimizer.

        All processes start from the weights of the main one, including newly initialized heads.

        Args:
            model: what is trained; FSDP2 changes it in place. Unused parameters must be frozen already
                (`freeze_unused_parameters`).
            make_optimizer: makes an optimizer for the trainable parameters of the unwrapped model; without it the model
                is only evaluated.

        Returns:
            The wrapped module, and the optimizer or None. `unwrap(module)` is the model again. Evaluate it in between
            under `torch.no_grad()`: what FSDP2 gathers under `inference_mode` cannot be trained.
        """
        model.to(PRECISIONS[self.precision])
        if self.world > 1:
            _broadcast_weights(model, self.device)
        if make_optimizer is None and self.strategy == "ddp":  # there are no gradients to exchange
            return model.to(self.device), None
        module = self._fabric.setup_module(model)
        if self.strategy == "fsdp":
            # It warns of outputs that are views, which are not changed in place here.
            warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view tensor")
        return module, None if make_optimizer is None else make_optimizer(self.unwrap(module))

    def unwrap(self, module: nn.Module) -> PreTrainedModel:
        """The model inside of the wrapped module, with its config and its names."""
        while not isinstance(module, PreTrainedModel):
            module = module.module
        return module

    def autocast(self) -> AbstractContextManager[Any]:
        """The context of the forward pass: autocast to bfloat16 with that precision."""
        if self.precision != "bfloat16":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    def backward(self, loss: Tensor) -> None:
        """Compute the gradients of a loss, averaged over the processes, and add them to the old ones."""
        self._fabric.backward(loss)

    def accumulating(self, module: nn.Module, last: bool) -> AbstractContextManager[Any]:
        """The context of forward and backward pass of a micro-batch; gradients are exchanged after the last one.

        Until then FSDP2 holds the unsharded gradient of every layer in each process.
        """
        if last or self.world == 1:
            return nullcontext()
        return self._fabric.no_backward_sync(module)

    def clip(self, module: nn.Module, optimizer: Optimizer, norm: float | None) -> Tensor:
        """Scale the gradients down so that the norm of all of them together is at most `norm`; None leaves them.

        Returns:
            The norm before, over all processes, as a scalar on the device; NaN or infinite if a gradient is.

        Raises:
            RuntimeError: a trainable parameter got no gradient.
        """
        without = [name for name, p in self.unwrap(module).named_parameters() if p.requires_grad and p.grad is None]
        if without:
            raise RuntimeError(
                f"{len(without)} trainable parameters got no gradient: {first_few(without)}. Other processes would "
                "wait for them. Freeze unused parameters before training: freeze_unused_parameters(model, losses)."
            )
        limit = math.inf if norm is None else norm
        return _full_tensor(self._fabric.clip_gradients(module, optimizer, max_norm=limit, error_if_nonfinite=False))

    def sum(self, values: np.ndarray) -> np.ndarray:
        """Sum an array over the processes."""
        values = np.asarray(values)
        if self.world == 1:
            return values.copy()
        total = self._fabric.all_reduce(torch.tensor(values, device=self.device), reduce_op="sum")
        return total.cpu().numpy()

    def gather(self, values: np.ndarray) -> np.ndarray:  # [b, ...] -> [sum of all b, ...]
        """Gather the rows of all processes in the order of their ranks; their numbers may differ, and may be 0."""
        values = np.asarray(values)
        if self.world == 1:
            return values.copy()
        counts = torch.cat(self._all_gather(torch.tensor([len(values)], device=self.device))).tolist()
        padded = np.zeros((max(counts), *values.shape[1:]), values.dtype)
        padded[: len(values)] = values
        if not padded.size:
            return np.zeros((sum(counts), *values.shape[1:]), values.dtype)
        # As bytes, so any dtype works.
        own = torch.tensor(padded.reshape(-1).view(np.uint8), device=self.device)
        parts = [part.cpu().numpy().view(values.dtype).reshape(padded.shape) for part in self._all_gather(own)]
        return np.concatenate([part[:count] for part, count in zip(parts, counts, strict=True)])

    def _all_gather(self, tensor: Tensor) -> list[Tensor]:
        """The tensors of all processes, which are of one shape."""
        parts = [torch.empty_like(tensor) for _ in range(self.world)]
        torch.distributed.all_gather(parts, tensor)
        return parts

    def barrier(self) -> None:
        """Wait for all processes."""
        self._fabric.barrier()

    def weights(self, module: nn.Module) -> dict[str, Tensor]:
        """Copies of the full weights in the memory of the main process, by the keys of the model's own state dict.

        The other processes take part, and get an empty dict.
        """
        self._regroup(module)
        found = {}
        for name, tensor in self.unwrap(module).state_dict().items():
            full = _full_tensor(tensor.detach())
            if self.is_main:
                found[normalize_key(name)] = full.cpu().clone() if full.device.type == "cpu" else full.cpu()
        return found

    def optimizer_state(self, module: nn.Module, optimizer: Any) -> dict[str, np.ndarray]:
        """The full state of the optimizer by name (see `optimizers.optimizer_state`).

        The other processes take part, and get an empty dict.
        """
        self._regroup(module)
        state = optimizer_state(self.unwrap(module), optimizer) if self.is_main or self.strategy == "fsdp" else {}
        return state if self.is_main else {}

    def load_optimizer_state(self, module: nn.Module, optimizer: Any, state: Mapping[str, np.ndarray]) -> None:
        """Restore what `optimizer_state` returned, with any number of processes; every process is given all of it.

        Raises:
            ValueError: names or shapes that are not those of this model's trained parameters; nothing is changed then.
        """
        self._regroup(module)
        load_optimizer_state(self.unwrap(module), optimizer, state)

    def _regroup(self, module: nn.Module) -> None:
        """With FSDP2, free the unsharded tensors that a forward pass without a backward pass leaves in the root."""
        for unit in module.modules():
            if isinstance(unit, FSDPModule):
                unit.reshard()


def _shard(model: nn.Module, mesh: Any) -> nn.Module:
    """Shard every layer, and then the rest of the model."""
    mesh = mesh["data_parallel"]
    for unit in [module for module in model.modules() if isinstance(module, WRAP_UNITS)]:
        fully_shard(unit, mesh=mesh)
    return fully_shard(model, mesh=mesh)


def _broadcast_weights(model: nn.Module, device: torch.device) -> None:
    """Give all processes the weights of the main one."""
    for tensor in (*model.parameters(), *model.buffers()):
        values = tensor.detach().to(device, copy=True)
        torch.distributed.broadcast(values, 0)
        if torch.distributed.get_rank():
            with torch.no_grad():
                tensor.copy_(values)


def _full_tensor(tensor: Tensor) -> Tensor:
    """Gather a tensor that may be sharded."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def shutdown_distributed() -> None:
    """Leave the process group at the end of a program, after the last exchange.

    Without it, gloo's threads may still hold tensors when Python ends, and the process crashes after its work. A
    process that fails must not call it: it would wait for the others, and its error would never be printed.
    """
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()

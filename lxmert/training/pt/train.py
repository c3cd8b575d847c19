"""Training a question-answering model with a plain loop."""

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import torch
from tqdm import tqdm

from lxmert.data.synthetic.recipe import Recipe
from lxmert.pt.pretrained import PreTrainedModel


def train_question_answering(
    model: PreTrainedModel,
    batches: Callable[[int], Iterable[Mapping[str, np.ndarray]]],
    steps_per_epoch: int,
    recipe: Recipe,
    progress: bool = True,
) -> list[float]:
    """Train with AdamW, warm-up and linear decay, and clipped gradients, as the recipe says.

    Args:
        model: a question-answering model; afterwards it is set to evaluation.
        batches: gives the batches of an epoch, counted from 0: inputs and `labels` by argument name.
        steps_per_epoch: how many there are.
        recipe: epochs, rates and norms.
        progress: whether to show a bar for each epoch.

    Returns:
        The mean loss of each epoch.
    """
    trained = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": recipe.weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=recipe.learning_rate, eps=recipe.epsilon)
    steps = recipe.epochs * steps_per_epoch
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: recipe.learning_rate_at(min(step, steps - 1), steps) / recipe.learning_rate
    )
    device = trained[0].device
    losses = []
    model.train()
    for epoch in range(recipe.epochs):
        bar = tqdm(
            batches(epoch), total=steps_per_epoch, desc=f"epoch {epoch + 1}/{recipe.epochs}", disable=not progress
        )
        total = 0.0
        for step, batch in enumerate(bar, start=1):
            loss = model(**{name: torch.as_tensor(array, device=device) for name, array in batch.items()}).loss
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, recipe.max_grad_norm)
            optimizer.step()
            schedule.step()
            total += loss.item()
            bar.set_postfix(loss=f"{total / step:.4f}", refresh=False)
        losses.append(total / steps_per_epoch)
    model.eval()
    return losses

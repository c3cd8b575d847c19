"""Cut encoded questions and their images' regions into batches of one shape, for training or for evaluation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from lxmert.common.validation.shared import IGNORED_LABEL
from lxmert.vision.regions import RegionBatch

if TYPE_CHECKING:
    from lxmert.data.synthetic.augmentation import AugmentedRegions


def batches(
    text: Mapping[str, np.ndarray],
    images: RegionBatch | AugmentedRegions,
    image_index: np.ndarray,
    labels: np.ndarray,
    batch_size: int,
    seed: int | None = None,
    epoch: int = 0,
) -> Iterator[dict[str, np.ndarray]]:
    """Batches as dicts with the models' argument names, all of exactly ``batch_size`` rows.

    Without a seed, the questions come in order and the last batch is filled up with rows labelled `IGNORED_LABEL`.
    With one, they are shuffled, differently in each epoch, and what does not fill a batch is left out.

    Args:
        text: What the tokenizer gave for the Q questions, padded to one length: ``input_ids`` ``[Q, L]`` and so on.
        images: The regions of the P images, ``[P, R, ...]``; or `AugmentedRegions`, which draws
            regions and labels anew in every epoch and so needs a seed.
        image_index: int ``[Q]``, the image that a question is about.
        labels: int ``[Q]``, the answers.
        batch_size: B.
        seed: Of the shuffling and of what `AugmentedRegions` draws.
        epoch: Which pass over the data this is, from 0.

    Yields:
        The text's entries ``[B, L]``, ``visual_feats`` ``[B, R, F]``, ``visual_pos`` ``[B, R, 4]``,
        ``visual_attention_mask`` ``[B, R]``, and ``labels`` int64 ``[B]``.

    Raises:
        ValueError: If the lengths do not agree, ``batch_size`` is below 1 or (with a seed) above Q, or
            `AugmentedRegions` comes without a seed.
    """
    text = {name: np.asarray(rows) for name, rows in text.items()}
    labels = np.asarray(labels, np.int64)
    image_index = np.asarray(image_index, np.int64)
    lengths = {**{name: len(rows) for name, rows in text.items()}, "image_index": len(image_index)}
    wrong = {name: length for name, length in lengths.items() if length != len(labels)}
    if wrong:
        found = ", ".join(f"{name} of {length}" for name, length in wrong.items())
        raise ValueError(f"text, image_index and labels must have one length; got labels of {len(labels)}, {found}.")
    if batch_size < 1 or (seed is not None and batch_size > len(labels)):
        raise ValueError(f"batch_size must be from 1 to the number of questions, {len(labels)}; got {batch_size}.")
    if not isinstance(images, Mapping) and seed is None:
        raise ValueError("seed must be given with AugmentedRegions, which draws by chance; got None. Pass seed=0, say.")
    return _cut(text, images, image_index, labels, batch_size, seed, epoch)


def _cut(
    text: dict[str, np.ndarray],
    images: RegionBatch | AugmentedRegions,
    image_index: np.ndarray,
    labels: np.ndarray,
    batch_size: int,
    seed: int | None,
    epoch: int,
) -> Iterator[dict[str, np.ndarray]]:
    # A generator of its own, so that wrong arguments are reported by the call and not by the first batch.
    count = len(labels)
    random = np.random.default_rng([0 if seed is None else seed, epoch])
    order = np.arange(count) if seed is None else random.permutation(count)
    stop = count if seed is None else count - batch_size + 1
    for start in range(0, stop, batch_size):
        rows = order[start : start + batch_size]
        missing = batch_size - len(rows)
        rows = np.concatenate([rows, np.zeros(missing, np.int64)])
        if isinstance(images, Mapping):
            own = image_index[rows]
            regions = RegionBatch(
                visual_feats=images["visual_feats"][own],
                visual_pos=images["visual_pos"][own],
                visual_attention_mask=images["visual_attention_mask"][own],
            )
            answers = labels[rows].copy()
        else:
            regions, answers = images.draw(rows, random)
        answers[batch_size - missing :] = IGNORED_LABEL
        yield {
            **{name: array[rows] for name, array in text.items()},
            "visual_feats": regions["visual_feats"],
            "visual_pos": regions["visual_pos"],
            "visual_attention_mask": regions["visual_attention_mask"],
            "labels": answers,
        }

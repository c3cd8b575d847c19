"""VisualBERT in `transformers`, an independent program, with our weights, called in the way that it needs.

Where its own call ends in an error, its modules are called one by one: what it meant to do, in its own arithmetic.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import MethodType
from typing import Any

import numpy as np
import torch
import transformers

from lxmert.common.config import VisualBertConfig
from lxmert.weights.naming.key_mapping import HUGGING_FACE
from tests.models import pt_model, tensors


def load_theirs(folder: Any, name: str, dtype: str, **options: Any) -> Any:
    """Their model of a folder, in evaluation; nothing may be missing, left over or of another size."""
    model, report = getattr(transformers, name).from_pretrained(
        folder, dtype=getattr(torch, dtype), output_loading_info=True, **options
    )
    assert not any(report.values()), report
    return model.eval()


@contextmanager
def selu() -> Iterator[None]:
    """Their table of activations does not have this one, which their documentation names."""
    table = transformers.activations.ACT2FN
    table["selu"] = torch.nn.SELU
    try:
        yield
    finally:
        del table["selu"]


@cache
def theirs(config: VisualBertConfig, name: str, dtype: str) -> Any:
    """Their model, loaded from the folder that ours wrote; with regions that bypass the layers, called rightly."""
    with tempfile.TemporaryDirectory() as folder, selu():
        pt_model(config, name, dtype).save_pretrained(folder)
        model = load_theirs(folder, name, dtype)
    if config.bypass_transformer:
        model.base_model.forward = MethodType(_bypassed, model.base_model)
    return model


def _bypassed(self: Any, input_ids: Any = None, attention_mask: Any = None, **given: Any) -> Any:
    """What their forward with `bypass_transformer` means to do: words through the encoder, then one layer over all."""
    wanted = {name: given.pop(name, None) for name in ("output_attentions", "output_hidden_states", "return_dict")}
    visual_mask, images = given.pop("visual_attention_mask", None), given.get("visual_embeds")
    if images is None:
        return type(self).forward(self, input_ids, attention_mask, **given, **wanted)
    embedded = self.embeddings(input_ids=input_ids, **given)
    regions = images.shape[1]
    length = embedded.shape[1] - regions
    ones = torch.ones(embedded.shape[:2])
    text = ones[:, :length] if attention_mask is None else attention_mask
    visual = ones[:, length:] if visual_mask is None else visual_mask
    bias = (1 - torch.cat([text, visual], 1).to(embedded.dtype))[:, None, None] * torch.finfo(embedded.dtype).min
    asked = {name: bool(wanted[name]) for name in ("output_attentions", "output_hidden_states")}
    encoded = self.encoder(embedded[:, :length], attention_mask=bias[..., :length], **asked)
    joined = torch.cat([encoded.last_hidden_state, embedded[:, length:]], 1)
    states, *maps = self.additional_layer(joined, bias, asked["output_attentions"])
    return transformers.modeling_outputs.BaseModelOutputWithPooling(
        last_hidden_state=states,
        pooler_output=self.pooler(states),
        hidden_states=(*encoded.hidden_states, states) if asked["output_hidden_states"] else None,
        attentions=(*encoded.attentions, *maps) if asked["output_attentions"] else None,
    )


def run_theirs(model: Any, given: dict[str, Any], **options: Any) -> dict[str, Any]:
    """Their outputs, from inputs as they want them: both masks given, and no label at a masked region.

    Answers are read where ours are: for a mask with holes, or with padding in front, they read another place.
    """
    given = dict(given)
    words = given.get("input_ids", given.get("inputs_embeds"))
    name, lead = type(model).__name__, 2 if type(model).__name__ == "VisualBertForMultipleChoice" else 1
    given.setdefault("attention_mask", np.ones(words.shape[: lead + 1], np.int64))
    if "visual_embeds" in given:
        given.setdefault("visual_attention_mask", np.ones(given["visual_embeds"].shape[:-1], np.int64))
    if name == "VisualBertForRegionToPhraseAlignment" and "labels" in given:
        given["labels"] = given["labels"] * (given["visual_attention_mask"] != 0)[:, None]
    if name == "VisualBertForQuestionAnswering":
        return _answer(model, given, **options)
    return dict(model(**tensors(model, given), **options).items())


def _answer(model: Any, given: dict[str, Any], **options: Any) -> dict[str, Any]:
    """The same with their question answering: its own layers, at the last unmasked token but one."""
    labels = given.pop("labels", None)
    places = []
    for row in given["attention_mask"]:
        kept = [i for i, keep in enumerate(row) if keep]
        places.append(kept[-2] if len(kept) > 1 else kept[0] if kept else 0)
    states = model.visual_bert(**tensors(model, given), **options)
    scores = model.cls(states.last_hidden_state[range(len(places)), places])
    output: dict[str, Any] = {}
    if labels is not None:
        wanted = torch.from_numpy(labels).to(scores.dtype)
        output["loss"] = torch.nn.KLDivLoss(reduction="batchmean")(torch.log_softmax(scores, -1), wanted)
    rest = {name: states[name] for name in ("hidden_states", "attentions") if name in states}
    return {**output, "logits": scores, **rest}


def gradients_theirs(
    config: VisualBertConfig, name: str, dtype: str, given: dict[str, Any], **options: Any
) -> tuple[Any, Any]:
    """Their outputs, and their gradients under our names, of all that ours trains."""
    model = theirs(config, name, dtype)
    output = run_theirs(model, given, **options)
    trained = [p for p, values in pt_model(config, name, dtype).weights_by_name() if values.requires_grad]
    parameters = [model.get_parameter(HUGGING_FACE.key(p, nested=True)) for p in trained]
    found = torch.autograd.grad(output["loss"], parameters, allow_unused=True, retain_graph=True)
    return output, dict(zip([p.name for p in trained], found, strict=True))

"""The arguments of the models: their order, their labels, the numbers they may hold, and the shapes they have.

Both backends take them from here; what is wrong with an argument that a user gives is told in the modules of inputs.
"""

from __future__ import annotations

from collections.abc import Mapping

from lxmert.common.config.base import ModelConfig
from lxmert.common.validation.shared import Range

LXMERT_INPUTS = (
    "input_ids",
    "visual_feats",
    "visual_pos",
    "attention_mask",
    "visual_attention_mask",
    "token_type_ids",
    "inputs_embeds",
)
VISUAL_BERT_INPUTS = (
    "input_ids",
    "attention_mask",
    "token_type_ids",
    "position_ids",
    "head_mask",
    "inputs_embeds",
    "visual_embeds",
    "visual_attention_mask",
    "visual_token_type_ids",
    "image_text_alignment",
)
# The labels of each class, and the output that holds its scores.
LABELS = {
    "LxmertModel": (),
    "LxmertForPreTraining": ("labels", "obj_labels", "matched_label", "ans"),
    "LxmertForQuestionAnswering": ("labels",),
    "LxmertForVisualReasoning": ("labels",),
    "VisualBertModel": (),
    "VisualBertForPreTraining": ("labels", "sentence_image_labels"),
    "VisualBertForMultipleChoice": ("labels",),
    "VisualBertForQuestionAnswering": ("labels",),
    "VisualBertForVisualReasoning": ("labels",),
    "VisualBertForRegionToPhraseAlignment": ("labels",),
}
SCORES = {
    "LxmertModel": "pooled_output",
    "LxmertForPreTraining": "prediction_logits",
    "LxmertForQuestionAnswering": "question_answering_score",
    "LxmertForVisualReasoning": "logits",
    "VisualBertModel": "pooler_output",
    "VisualBertForPreTraining": "prediction_logits",
    "VisualBertForMultipleChoice": "logits",
    "VisualBertForQuestionAnswering": "logits",
    "VisualBertForVisualReasoning": "logits",
    "VisualBertForRegionToPhraseAlignment": "logits",
}
# The labels that may be rows of scores in 0 … 1.
SCORE_LABELS = {
    "LxmertForPreTraining": ("ans",),
    "LxmertForQuestionAnswering": ("labels",),
    "VisualBertForQuestionAnswering": ("labels",),
    "VisualBertForRegionToPhraseAlignment": ("labels",),
}


def value_ranges(config: ModelConfig, architecture: str) -> dict[str, Range]:
    """The integers that ids and labels may be, by argument name.

    Labels that may also be rows of scores stand here with their range as classes. What depends on the sizes of other
    arguments is in `sized_ranges`.

    Args:
        config: the model's configuration.
        architecture: the model's class name without the prefix TF.
    """
    words, types = Range(config.vocab_size), Range(config.type_vocab_size)
    positions = config.max_position_embeddings
    ranges = {"input_ids": words, "token_type_ids": types}
    of_word, of_match = Range(config.vocab_size, ignored=True), Range(2, ignored=True)
    if config.model_type == "visual_bert":
        ranges |= {
            "position_ids": Range(positions),
            "visual_token_type_ids": types,
            "image_text_alignment": Range(positions, lowest=-1),
        }
        if architecture == "VisualBertForPreTraining":
            ranges |= {"labels": of_word, "sentence_image_labels": of_match}
        elif architecture in ("VisualBertForQuestionAnswering", "VisualBertForVisualReasoning"):
            ranges["labels"] = Range(config.num_labels, ignored=True)
        return ranges
    of_answer = Range(config.num_qa_labels, ignored=True)
    if architecture == "LxmertForPreTraining":
        ranges |= {"labels": of_word, "masked_lm_labels": of_word, "matched_label": of_match, "ans": of_answer}
    elif architecture == "LxmertForQuestionAnswering":
        ranges["labels"] = of_answer
    elif architecture == "LxmertForVisualReasoning":
        ranges["labels"] = Range(2, ignored=True)
    return ranges


def sized_ranges(architecture: str, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Range]:
    """The integers that count the choices, or positions in the sequence of words and regions, by argument name.

    Args:
        architecture: the model's class name without the prefix TF.
        shapes: the shapes of the arguments by name, as far as they are known.
    """
    words = shapes.get("input_ids", shapes.get("inputs_embeds", ()))
    regions = shapes.get("visual_embeds", ())
    if architecture == "VisualBertForMultipleChoice" and len(words) > 1:
        return {"labels": Range(words[1], ignored=True)}
    if architecture == "VisualBertForRegionToPhraseAlignment" and len(words) > 1 and len(regions) > 1:
        return {"region_to_phrase_position": Range(words[1] + regions[1], lowest=-1)}
    return {}


def input_shapes(config: ModelConfig, architecture: str) -> dict[str, tuple[tuple[str | int, ...], str]]:
    """The arguments that a served model takes: for each its shape, a letter where any size will do, and its kind.

    Args:
        config: the model's configuration.
        architecture: the model's class name without the prefix TF.
    """
    if config.model_type == "lxmert":
        images: tuple[str | int, ...] = ("B", 2) if architecture == "LxmertForVisualReasoning" else ("B",)
        return {
            "input_ids": (("B", "L"), "int"),
            "visual_feats": ((*images, "R", config.visual_feat_dim), "float"),
            "visual_pos": ((*images, "R", config.visual_pos_dim), "float"),
            "attention_mask": (("B", "L"), "int"),
            "visual_attention_mask": ((*images, "R"), "int"),
            "token_type_ids": (("B", "L"), "int"),
        }
    lead = ("B", "choices") if architecture == "VisualBertForMultipleChoice" else ("B",)
    shapes: dict[str, tuple[tuple[str | int, ...], str]] = {
        "input_ids": ((*lead, "L"), "int"),
        "attention_mask": ((*lead, "L"), "int"),
        "token_type_ids": ((*lead, "L"), "int"),
        "visual_embeds": ((*lead, "R", config.visual_embedding_dim), "float"),
        "visual_attention_mask": ((*lead, "R"), "int"),
        "visual_token_type_ids": ((*lead, "R"), "int"),
    }
    if architecture == "VisualBertForRegionToPhraseAlignment":
        shapes["region_to_phrase_position"] = (("B", "P"), "int")
    return shapes

"""One row for each model class: its heads, arguments, labels, losses and outputs."""

from __future__ import annotations

from lxmert.common import outputs

from .rows import ClassSpec, Input, Integers, Loss, ModelSpec

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


def _lxmert_inputs(*images: str | int) -> dict[str, Input]:
    """The inputs of LXMERT, for one image with each text, or for as many as the axis `images` has."""
    batch = ("B", *images)
    return {
        "input_ids": Input(("B", "L")),
        "visual_feats": Input((*batch, "R", "visual_feat_dim"), "float"),
        "visual_pos": Input((*batch, "R", "visual_pos_dim"), "float"),
        "attention_mask": Input(("B", "L"), default=1),
        "visual_attention_mask": Input((*batch, "R"), default=1),
        "token_type_ids": Input(("B", "L"), default=0),
    }


def _visual_bert_inputs(*choices: str) -> dict[str, Input]:
    """The inputs of VisualBERT, all with an axis of choices behind the batch where there is one."""
    batch = ("B", *choices)
    return {
        "input_ids": Input((*batch, "L")),
        "attention_mask": Input((*batch, "L"), default=1),
        "token_type_ids": Input((*batch, "L"), default=0),
        "visual_embeds": Input((*batch, "R", "visual_embedding_dim"), "float"),
        "visual_attention_mask": Input((*batch, "R"), default=1),
        "visual_token_type_ids": Input((*batch, "R"), default=1),
    }


LXMERT_SERVED = _lxmert_inputs()
VISUAL_BERT_SERVED = _visual_bert_inputs()
LXMERT_RANGES = {"input_ids": Integers("vocab_size"), "token_type_ids": Integers("type_vocab_size")}
VISUAL_BERT_RANGES = {
    **LXMERT_RANGES,
    "position_ids": Integers("max_position_embeddings"),
    "visual_token_type_ids": Integers("type_vocab_size"),
    "image_text_alignment": Integers("max_position_embeddings", lowest=-1),
}
_WORDS, _TWO = Integers("vocab_size", ignored=True), Integers(2, ignored=True)
_ANSWERS, _CLASSES = Integers("num_qa_labels", ignored=True), Integers("num_labels", ignored=True)

SPECS: dict[str, ModelSpec] = {
    "LxmertModel": ModelSpec(
        model="lxmert",
        task="backbone",
        output=outputs.LxmertModelOutput,
        scores="pooled_output",
        inputs=LXMERT_SERVED,
        ranges=LXMERT_RANGES,
    ),
    "LxmertForPreTraining": ModelSpec(
        model="lxmert",
        task="pre-training",
        output=outputs.LxmertForPreTrainingOutput,
        scores="prediction_logits",
        inputs=LXMERT_SERVED,
        heads=("word", "match", "object", "answer"),
        ranges=LXMERT_RANGES,
        labels={"labels": _WORDS, "obj_labels": None, "matched_label": _TWO, "ans": _ANSWERS},
        label_aliases={"masked_lm_labels": "labels"},
        score_labels=("ans",),
        # The paper counts the three losses of regions as two.
        losses={
            "words": Loss("labels", "word", "prediction_logits", "task_mask_lm"),
            "match": Loss("matched_label", "match", "cross_relationship_score", "task_matched"),
            "objects": Loss("obj_labels", "object", None, "visual_obj_loss", part="obj"),
            "attributes": Loss("obj_labels", "object", None, "visual_attr_loss", part="attr"),
            "features": Loss("obj_labels", "object", None, "visual_feat_loss", part="feat"),
            "answers": Loss("ans", "answer", "question_answering_score", "task_qa"),
        },
        optional_heads={"object": "task_obj_predict", "answer": "task_qa"},
    ),
    "LxmertForQuestionAnswering": ModelSpec(
        model="lxmert",
        task="question-answering",
        output=outputs.LxmertForQuestionAnsweringOutput,
        scores="question_answering_score",
        inputs=LXMERT_SERVED,
        heads=("answer",),
        ranges=LXMERT_RANGES,
        labels={"labels": _ANSWERS},
        score_labels=("labels",),
    ),
    "LxmertForVisualReasoning": ModelSpec(
        model="lxmert",
        task="visual-reasoning",
        output=outputs.LxmertForVisualReasoningOutput,
        scores="logits",
        inputs=_lxmert_inputs(2),
        heads=("reasoning",),
        ranges=LXMERT_RANGES,
        labels={"labels": _TWO},
    ),
    "VisualBertModel": ModelSpec(
        model="visual_bert",
        task="backbone",
        output=outputs.VisualBertModelOutput,
        scores="pooler_output",
        inputs=VISUAL_BERT_SERVED,
        ranges=VISUAL_BERT_RANGES,
    ),
    "VisualBertForPreTraining": ModelSpec(
        model="visual_bert",
        task="pre-training",
        output=outputs.VisualBertForPreTrainingOutput,
        scores="prediction_logits",
        inputs=VISUAL_BERT_SERVED,
        heads=("word", "match"),
        ranges=VISUAL_BERT_RANGES,
        labels={"labels": _WORDS, "sentence_image_labels": _TWO},
        losses={
            "words": Loss("labels", "word", "prediction_logits"),
            "match": Loss("sentence_image_labels", "match", "seq_relationship_logits"),
        },
    ),
    "VisualBertForMultipleChoice": ModelSpec(
        model="visual_bert",
        task="multiple-choice",
        output=outputs.VisualBertTaskOutput,
        scores="logits",
        inputs=_visual_bert_inputs("choices"),
        heads=("choice",),
        ranges=VISUAL_BERT_RANGES,
        labels={"labels": Integers("choices", ignored=True)},
    ),
    "VisualBertForQuestionAnswering": ModelSpec(
        model="visual_bert",
        task="question-answering",
        output=outputs.VisualBertTaskOutput,
        scores="logits",
        inputs=VISUAL_BERT_SERVED,
        heads=("classifier",),
        ranges=VISUAL_BERT_RANGES,
        labels={"labels": _CLASSES},
        score_labels=("labels",),
    ),
    "VisualBertForVisualReasoning": ModelSpec(
        model="visual_bert",
        task="visual-reasoning",
        output=outputs.VisualBertTaskOutput,
        scores="logits",
        inputs=VISUAL_BERT_SERVED,
        heads=("classifier",),
        ranges=VISUAL_BERT_RANGES,
        labels={"labels": _CLASSES},
    ),
    "VisualBertForRegionToPhraseAlignment": ModelSpec(
        model="visual_bert",
        task="alignment",
        output=outputs.VisualBertTaskOutput,
        scores="logits",
        inputs={**VISUAL_BERT_SERVED, "region_to_phrase_position": Input(("B", "P"))},
        # As in `transformers`, it keeps the heads of its pre-training, which it does not use.
        heads=("word", "match", "alignment"),
        ranges={**VISUAL_BERT_RANGES, "region_to_phrase_position": Integers("L + R", lowest=-1)},
        labels={"labels": None},
        score_labels=("labels",),
    ),
}

CLASSES = tuple(SPECS)
"""The model classes of this package; `SPECS` has those of `register_spec` too."""

DETECTORS: dict[str, ClassSpec] = {
    "VisualGenomeDetector": ClassSpec(model="visual_genome_detector", task="region-detection"),
    "VcrDetector": ClassSpec(model="vcr_detector", task="region-features"),
}
"""The networks that regions come from: they take images, and no words."""

LOSS_NAMES = tuple(SPECS["LxmertForPreTraining"].losses)
"""What LXMERT is pre-trained on, by name."""

"""The name tables of LXMERT and VisualBERT: our path of each module, Hugging Face's path, kind and size."""

from __future__ import annotations

from typing import Any

from lxmert.common.specs import ModuleRow

from .model_table import ModelTable, SizeEvidence


def _attention(path: str, hf_path: str, layers_field: str | None, inner: str = "self") -> tuple[ModuleRow, ...]:
    return (
        ModuleRow(f"{path}.query", f"{hf_path}.{inner}.query", "dense", ("W", "D"), layers_field),
        ModuleRow(f"{path}.key", f"{hf_path}.{inner}.key", "dense", ("W", "D"), layers_field),
        ModuleRow(f"{path}.value", f"{hf_path}.{inner}.value", "dense", ("W", "D"), layers_field),
        ModuleRow(f"{path}.out", f"{hf_path}.output.dense", "dense", ("D", "W"), layers_field),
        ModuleRow(f"{path}.norm", f"{hf_path}.output.LayerNorm", "norm", ("D",), layers_field),
    )


def _feed_forward(path: str, up: str, down: str, layers_field: str | None) -> tuple[ModuleRow, ...]:
    return (
        ModuleRow(f"{path}.up", f"{up}.dense", "dense", ("I", "D"), layers_field),
        ModuleRow(f"{path}.down", f"{down}.dense", "dense", ("D", "I"), layers_field),
        ModuleRow(f"{path}.norm", f"{down}.LayerNorm", "norm", ("D",), layers_field),
    )


def _layer(path: str, hf_path: str, layers_field: str | None) -> tuple[ModuleRow, ...]:
    return (
        *_attention(f"{path}.attention", f"{hf_path}.attention", layers_field),
        *_feed_forward(f"{path}.feed_forward", f"{hf_path}.intermediate", f"{hf_path}.output", layers_field),
    )


_WORD_AND_MATCH = (
    ModuleRow("heads.word.transform", "cls.predictions.transform.dense", "dense", ("D", "D")),
    ModuleRow("heads.word.norm", "cls.predictions.transform.LayerNorm", "norm", ("D",)),
    ModuleRow("heads.word.bias", "cls.predictions.bias", "vector", ("V",)),
    ModuleRow("heads.word.decoder", "cls.predictions.decoder", "embedding", ("V", "D"), switch="untied_words"),
    ModuleRow("heads.match", "cls.seq_relationship", "dense", (2, "D")),
)

_LXMERT: tuple[ModuleRow, ...] = (
    ModuleRow("embeddings.word", "embeddings.word_embeddings", "embedding", ("V", "D")),
    ModuleRow("embeddings.position", "embeddings.position_embeddings", "embedding", ("positions", "D")),
    ModuleRow("embeddings.token_type", "embeddings.token_type_embeddings", "embedding", ("types", "D")),
    ModuleRow("embeddings.norm", "embeddings.LayerNorm", "norm", ("D",)),
    ModuleRow("region_embeddings.feature", "encoder.visn_fc.visn_fc", "dense", ("D", "F")),
    ModuleRow("region_embeddings.feature_norm", "encoder.visn_fc.visn_layer_norm", "norm", ("D",)),
    ModuleRow("region_embeddings.box", "encoder.visn_fc.box_fc", "dense", ("D", "P")),
    ModuleRow("region_embeddings.box_norm", "encoder.visn_fc.box_layer_norm", "norm", ("D",)),
    *_layer("language_layers.{i}", "encoder.layer.{i}", "l_layers"),
    *_layer("visual_layers.{i}", "encoder.r_layers.{i}", "r_layers"),
    *_attention("cross_layers.{i}.cross_attention", "encoder.x_layers.{i}.visual_attention", "x_layers", inner="att"),
    *_attention("cross_layers.{i}.language_self_attention", "encoder.x_layers.{i}.lang_self_att", "x_layers"),
    *_attention("cross_layers.{i}.visual_self_attention", "encoder.x_layers.{i}.visn_self_att", "x_layers"),
    *_feed_forward(
        "cross_layers.{i}.language_feed_forward",
        "encoder.x_layers.{i}.lang_inter",
        "encoder.x_layers.{i}.lang_output",
        "x_layers",
    ),
    *_feed_forward(
        "cross_layers.{i}.visual_feed_forward",
        "encoder.x_layers.{i}.visn_inter",
        "encoder.x_layers.{i}.visn_output",
        "x_layers",
    ),
    ModuleRow("pooler.dense", "pooler.dense", "dense", ("D", "D")),
    *_WORD_AND_MATCH,
    ModuleRow("heads.object.transform", "obj_predict_head.transform.dense", "dense", ("D", "D")),
    ModuleRow("heads.object.norm", "obj_predict_head.transform.LayerNorm", "norm", ("D",)),
    ModuleRow("heads.object.obj", "obj_predict_head.decoder_dict.obj", "dense", ("obj", "D"), switch="visual_obj_loss"),
    ModuleRow(
        "heads.object.attr", "obj_predict_head.decoder_dict.attr", "dense", ("attr", "D"), switch="visual_attr_loss"
    ),
    ModuleRow(
        "heads.object.feat", "obj_predict_head.decoder_dict.feat", "dense", ("F", "D"), switch="visual_feat_loss"
    ),
    # Two heads with one name in Hugging Face's files, which have one or the other.
    ModuleRow("heads.answer.up", "answer_head.logit_fc.0", "dense", ("2D", "D")),
    ModuleRow("heads.answer.norm", "answer_head.logit_fc.2", "norm", ("2D",)),
    ModuleRow("heads.answer.out", "answer_head.logit_fc.3", "dense", ("A", "2D")),
    ModuleRow("heads.reasoning.up", "answer_head.logit_fc.0", "dense", ("2D", "2D")),
    ModuleRow("heads.reasoning.norm", "answer_head.logit_fc.2", "norm", ("2D",)),
    ModuleRow("heads.reasoning.out", "answer_head.logit_fc.3", "dense", (2, "2D")),
)

_VISUAL_BERT: tuple[ModuleRow, ...] = (
    ModuleRow("embeddings.word", "embeddings.word_embeddings", "embedding", ("V", "D")),
    ModuleRow("embeddings.position", "embeddings.position_embeddings", "embedding", ("positions", "D")),
    ModuleRow("embeddings.token_type", "embeddings.token_type_embeddings", "embedding", ("types", "D")),
    ModuleRow("embeddings.feature", "embeddings.visual_projection", "dense", ("D", "F")),
    ModuleRow("embeddings.visual_position", "embeddings.visual_position_embeddings", "embedding", ("positions", "D")),
    ModuleRow("embeddings.visual_token_type", "embeddings.visual_token_type_embeddings", "embedding", ("types", "D")),
    ModuleRow("embeddings.norm", "embeddings.LayerNorm", "norm", ("D",)),
    *_layer("encoder_layers.{i}", "encoder.layer.{i}", "num_hidden_layers"),
    *(
        row._replace(switch="bypass_transformer")
        for row in _layer("additional_layer", "additional_layer", layers_field=None)
    ),
    ModuleRow("pooler.dense", "pooler.dense", "dense", ("D", "D")),
    *_WORD_AND_MATCH,
    # Likewise two heads with one name.
    ModuleRow("heads.classifier", "cls", "dense", ("labels", "D")),
    ModuleRow("heads.choice", "cls", "dense", (1, "D")),
    ModuleRow("heads.alignment.query", "attention.query", "dense", ("K", "D")),
    ModuleRow("heads.alignment.key", "attention.key", "dense", ("K", "D")),
    ModuleRow("heads.alignment.value", "attention.value", "dense", ("K", "D")),
)


def _sizes(config: Any, **more: int) -> dict[str, int]:
    """The values of the sizes in the tables: symbols, and the integers of a configuration."""
    return {
        **{name: value for name, value in config.attributes().items() if isinstance(value, int)},
        "D": config.hidden_size,
        "K": config.hidden_size // config.num_attention_heads,
        "I": config.intermediate_size,
        "V": config.vocab_size,
        "positions": config.max_position_embeddings,
        "types": config.type_vocab_size,
        **more,
    }


def _lxmert_sizes(config: Any) -> dict[str, int]:
    return _sizes(
        config,
        **{"2D": 2 * config.hidden_size},
        F=config.visual_feat_dim,
        P=config.visual_pos_dim,
        A=config.num_qa_labels,
        obj=config.num_object_labels,
        attr=config.num_attr_labels,
    )


def _visual_bert_sizes(config: Any) -> dict[str, int]:
    return _sizes(config, F=config.visual_embedding_dim, labels=config.num_labels)


def _attention_width(config: Any, module: str) -> dict[str, int]:
    """W, the width of the attention that a module is in, without its pruned heads."""
    pruned = len(config.pruned_heads.get(module.rpartition(".")[0], ()))
    heads = config.num_attention_heads
    return {"W": (heads - pruned) * (config.hidden_size // heads)}


def _shared_evidence(layers: str) -> tuple[SizeEvidence, ...]:
    up = "units between the layers of a feed-forward block"
    return (
        SizeEvidence("embeddings.word", 0, "vocab_size", "words in its vocabulary"),
        SizeEvidence("embeddings.word", 1, "hidden_size", "numbers in each word's embedding"),
        SizeEvidence("embeddings.position", 0, "max_position_embeddings", "positions"),
        SizeEvidence("embeddings.token_type", 0, "type_vocab_size", "token types"),
        SizeEvidence(f"{layers}.0.feed_forward.up", 0, "intermediate_size", up),
    )


_DESCRIBED_BY = ("vocab_size", "hidden_size", "num_attention_heads")
_VISUAL_LOSSES = ("visual_obj_loss", "visual_attr_loss", "visual_feat_loss")

LXMERT = ModelTable(
    title="LXMERT",
    paper="[Tan and Bansal 2019](https://arxiv.org/abs/1908.07490)",
    package="lxmert",
    rows=_LXMERT,
    sizes=_lxmert_sizes,
    layer_sizes=_attention_width,
    layers=("l_layers", "x_layers", "r_layers"),
    described_by=_DESCRIBED_BY,
    evidence=(
        *_shared_evidence("language_layers"),
        SizeEvidence("region_embeddings.feature", 1, "visual_feat_dim", "visual features"),
        SizeEvidence("region_embeddings.box", 1, "visual_pos_dim", "numbers in a box"),
        SizeEvidence("heads.object.obj", 0, "num_object_labels", "object classes"),
        SizeEvidence("heads.object.attr", 0, "num_attr_labels", "attribute classes"),
        SizeEvidence("heads.answer.out", 0, "num_qa_labels", "answers"),
    ),
    pretraining_switches={
        "task_obj_predict": "heads.object.transform",
        "task_qa": "heads.answer.out",
        "visual_obj_loss": "heads.object.obj",
        "visual_attr_loss": "heads.object.attr",
        "visual_feat_loss": "heads.object.feat",
    },
    all_parts=dict.fromkeys(_VISUAL_LOSSES, True),
    answers=("heads.answer.out", "num_qa_labels"),
    rivals=("answer", "reasoning"),
    beyond_bert=("region_embeddings", "visual_layers", "cross_layers"),
    all_bert_layers=False,
)

VISUAL_BERT = ModelTable(
    title="VisualBERT",
    paper="[Li et al. 2019](https://arxiv.org/abs/1908.03557)",
    package="visual_bert",
    rows=_VISUAL_BERT,
    sizes=_visual_bert_sizes,
    layer_sizes=_attention_width,
    layers=("num_hidden_layers",),
    described_by=_DESCRIBED_BY,
    evidence=(
        *_shared_evidence("encoder_layers"),
        SizeEvidence("embeddings.feature", 1, "visual_embedding_dim", "visual features"),
        SizeEvidence("heads.classifier", 0, "num_labels", "labels"),
    ),
    switches={"bypass_transformer": "additional_layer.attention.query"},
    answers=("heads.classifier", "num_labels"),
    rivals=("classifier", "choice"),
    new_parts=("pooler",),
    beyond_bert=("embeddings.feature", "embeddings.visual_"),
    decoder_bias=True,
)

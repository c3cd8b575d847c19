"""Whether the word head of a weight file has its own decoder, or is tied to the word embedding."""

from __future__ import annotations

from dataclasses import replace

from .checkpoint import Checkpoint
from .infer_config import FROM_SHAPES
from .naming.key_mapping import DECODER_BIAS, Parameter, parameters
from .naming.tables import every_head


def resolve_decoder(checkpoint: Checkpoint, tie_given: bool) -> Checkpoint:
    """Find out whether the word head has its own decoder, and put that into the configuration, unless it is given.

    As in `transformers`: a decoder that differs from the word embedding is not tied to it; where the file has only one
    of the two, it is both.
    """
    config, names = checkpoint.config, dict(checkpoint.names)
    if "word" not in every_head(config.model_type):
        return checkpoint
    untied = config.replace(tie_word_embeddings=False)
    by_module = {p.module: p for p in parameters(untied, every_head(config.model_type))}
    decoder, word = by_module["heads.word.decoder"], by_module["embeddings.word"]
    if not checkpoint.mapping.tied:  # files of this mapping have a decoder only if the model has its own
        inferred = checkpoint.config_source == FROM_SHAPES and not tie_given
        return replace(checkpoint, config=untied) if inferred and checkpoint.has(decoder) else checkpoint
    if not (checkpoint.has(word) or checkpoint.has(decoder)):
        return checkpoint
    if not checkpoint.has(word):
        names[checkpoint.key(word)] = checkpoint.stored_name(decoder)
    elif not checkpoint.has(decoder):
        if not config.tie_word_embeddings and checkpoint.has(by_module["heads.word.transform"]):
            names[checkpoint.key(decoder)] = checkpoint.stored_name(word)
    elif config.tie_word_embeddings and not tie_given and _values_differ(checkpoint, decoder, word):
        config = untied
    bias = checkpoint.mapping.head_prefix + DECODER_BIAS
    if config.untied_words and bias in names:
        names[checkpoint.key(by_module["heads.word.bias"])] = names[bias]
    found_untied = config.untied_words and checkpoint.config.tie_word_embeddings
    return replace(checkpoint, config=config, names=names, found_untied=found_untied)


def _values_differ(checkpoint: Checkpoint, first: Parameter, second: Parameter) -> bool:
    """Whether two parameters of one shape have different values in the file."""
    if checkpoint.shape(first) != checkpoint.shape(second):
        return False  # one of them does not fit the model; the error comes later
    return not checkpoint.same_values(checkpoint.stored_name(first), checkpoint.stored_name(second))

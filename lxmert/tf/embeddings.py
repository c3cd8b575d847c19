"""Words and regions as vectors: for LXMERT separately, for VisualBERT as one sequence.

Dimensions: B batch, L language tokens, R regions, D hidden size, F visual feature size, P box size.
"""

from typing import Any

import keras
from keras import ops

from lxmert.common.config import LxmertConfig, VisualBertConfig

from .layers import ConfiguredLayer


@keras.saving.register_keras_serializable(package="lxmert")
class LanguageEmbeddings(ConfiguredLayer):
    """dropout(norm(word[ids] + position[0…L-1] + token_type[types]))."""

    def __init__(self, config: LxmertConfig, **kwargs: Any):
        super().__init__(config, **kwargs)
        self.word = self.embedding(config.vocab_size, "word")
        self.position = self.embedding(config.max_position_embeddings, "position")
        self.token_type = self.embedding(config.type_vocab_size, "token_type")
        self.norm = self.layer_norm()
        self.dropout = self.drop(config.hidden_dropout_prob)

    def call(
        self, input_ids: Any = None, token_type_ids: Any = None, inputs_embeds: Any = None, training: bool = False
    ) -> Any:  # [B, L] or [B, L, D] -> [B, L, D]
        """Embed the tokens; `inputs_embeds` replaces the rows of the word table only."""
        words = self.word(input_ids) if inputs_embeds is None else inputs_embeds
        positions = ops.arange(ops.shape(words)[1], dtype="int32")[None]
        if token_type_ids is None:
            token_type_ids = ops.zeros_like(positions)
        return self.dropout(
            self.norm(words + self.position(positions) + self.token_type(token_type_ids)), training=training
        )

    def build(self, input_shape: Any = None) -> None:
        """Make the weights; their sizes come from the config."""
        ids = (None, None)
        self.build_parts(word=ids, position=ids, token_type=ids, norm=(None, None, self.config.hidden_size))


@keras.saving.register_keras_serializable(package="lxmert")
class RegionEmbeddings(ConfiguredLayer):
    """dropout((feature_norm(feature(visual_feats)) + box_norm(box(visual_pos))) / 2)."""

    def __init__(self, config: LxmertConfig, **kwargs: Any):
        super().__init__(config, **kwargs)
        self.feature = self.linear(config.hidden_size, "feature")
        self.feature_norm = self.layer_norm("feature_norm")
        self.box = self.linear(config.hidden_size, "box")
        self.box_norm = self.layer_norm("box_norm")
        self.dropout = self.drop(config.hidden_dropout_prob)

    def call(self, visual_feats: Any, visual_pos: Any, training: bool = False) -> Any:
        # [B, R, F], [B, R, P] -> [B, R, D]
        """Embed the regions."""
        features = self.feature_norm(self.feature(visual_feats))
        boxes = self.box_norm(self.box(visual_pos))
        return self.dropout((features + boxes) / 2, training=training)

    def build(self, visual_feats_shape: Any = None, visual_pos_shape: Any = None) -> None:
        """Make the weights; their sizes come from the config."""
        config, hidden = self.config, (None, None, self.config.hidden_size)
        self.build_parts(feature=(None, None, config.visual_feat_dim), box=(None, None, config.visual_pos_dim))
        self.build_parts(feature_norm=hidden, box_norm=hidden)


@keras.saving.register_keras_serializable(package="lxmert")
class JointEmbeddings(ConfiguredLayer):
    """dropout(norm(concat(text, regions))), with one norm over both.

    text = word[ids] + position[0…L-1] + token_type[types]
    regions = feature(visual_embeds) + visual_position[0] + visual_token_type[types] + aligned
    aligned = the mean of position[p] over the words p that a region is aligned with; 0 without any
    """

    def __init__(self, config: VisualBertConfig, **kwargs: Any):
        super().__init__(config, **kwargs)
        # As in the original: only the padding word gets no gradient; every row of the other tables is trained.
        self.word = self.embedding(config.vocab_size, "word", config.pad_token_id)
        self.position = self.embedding(config.max_position_embeddings, "position", None)
        self.token_type = self.embedding(config.type_vocab_size, "token_type", None)
        self.feature = self.linear(config.hidden_size, "feature")
        self.visual_position = self.embedding(config.max_position_embeddings, "visual_position", None)
        self.visual_token_type = self.embedding(config.type_vocab_size, "visual_token_type", None)
        self.norm = self.layer_norm()
        self.dropout = self.drop(config.hidden_dropout_prob)

    def call(
        self,
        input_ids: Any = None,
        token_type_ids: Any = None,
        position_ids: Any = None,
        inputs_embeds: Any = None,
        visual_embeds: Any = None,
        visual_token_type_ids: Any = None,
        image_text_alignment: Any = None,
        training: bool = False,
    ) -> Any:  # [B, L] or [B, L, D], [B, R, F] -> [B, L + R, D]
        """Embed the words, then the regions; `inputs_embeds` replaces the rows of the word table only."""
        words = self.word(input_ids) if inputs_embeds is None else inputs_embeds
        if position_ids is None:
            position_ids = ops.arange(ops.shape(words)[1], dtype="int32")[None]
        if token_type_ids is None:
            token_type_ids = ops.zeros_like(position_ids)
        states = words + self.position(position_ids) + self.token_type(token_type_ids)
        if visual_embeds is not None:
            regions = self.embed_regions(visual_embeds, visual_token_type_ids, image_text_alignment)
            states = ops.concatenate([states, regions], axis=1)
        return self.dropout(self.norm(states), training=training)

    def embed_regions(
        self, visual_embeds: Any, visual_token_type_ids: Any, image_text_alignment: Any
    ) -> Any:  # [B, R, F] -> [B, R, D]
        """Embed the regions, before the norm."""
        features = self.feature(visual_embeds)
        first = ops.zeros((1, 1), dtype="int32")
        if visual_token_type_ids is None:
            visual_token_type_ids = first + min(1, self.config.type_vocab_size - 1)
        regions = features + self.visual_position(first) + self.visual_token_type(visual_token_type_ids)
        if image_text_alignment is None:
            return regions
        image_text_alignment = ops.cast(image_text_alignment, "int32")
        given = ops.not_equal(image_text_alignment, -1)
        rows = self.position(ops.where(given, image_text_alignment, 0))  # [B, R, K, D]
        given = ops.cast(given, rows.dtype)
        return regions + ops.sum(rows * given[..., None], axis=2) / ops.maximum(ops.sum(given, axis=2)[..., None], 1)

    def init_visual_tables(self) -> None:
        """Initialize the tables of the regions as copies of the words', if the config has `special_visual_initialize`.

        Differs from HF: the tables are copied there and initialized again afterwards.
        """
        if self.config.special_visual_initialize:
            self.visual_position.embeddings.assign(self.position.embeddings)
            self.visual_token_type.embeddings.assign(self.token_type.embeddings)

    def build(self, input_shape: Any = None) -> None:
        """Make the weights; their sizes come from the config."""
        ids, hidden = (None, None), (None, None, self.config.hidden_size)
        self.build_parts(word=ids, position=ids, token_type=ids, visual_position=ids, visual_token_type=ids)
        self.build_parts(feature=(None, None, self.config.visual_embedding_dim), norm=hidden)
        self.init_visual_tables()

"""Words and regions as vectors: for LXMERT separately, for VisualBERT as one sequence.

Dimensions: B batch, L language tokens, R regions, D hidden size, F visual feature size, P box size.
"""

import torch
from torch import Tensor, nn

from lxmert.common.config import LxmertConfig, VisualBertConfig
from lxmert.pt._compat import may_have_hooks
from lxmert.pt.cpu_kernels.dropout import drop
from lxmert.pt.cpu_kernels.linear import linear

from .layers import Embedding


def same_rows(table: nn.Embedding, ids: Tensor, states: Tensor) -> Tensor:  # [1 or B, S] -> [1 or B, S, D]
    """Look up ids that may be the same for all rows of `states` [B, S, D].

    They are looked up once; but once for each row where a hook watches the table, because opacus computes the gradient
    of each example in one.
    """
    if not torch.compiler.is_compiling() and may_have_hooks(table):
        ids = ids.expand(states.shape[0], -1)
    return table(ids)


class LanguageEmbeddings(nn.Module):
    """dropout(norm(word[ids] + position[0…L-1] + token_type[types]))."""

    def __init__(self, config: LxmertConfig):
        super().__init__()
        self.word = Embedding(config.vocab_size, config.hidden_size)
        self.position = Embedding(config.max_position_embeddings, config.hidden_size)
        self.token_type = Embedding(config.type_vocab_size, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(
        self, input_ids: Tensor | None, token_type_ids: Tensor | None, inputs_embeds: Tensor | None
    ) -> Tensor:  # [B, L] or [B, L, D] -> [B, L, D]
        """Embed the tokens; `inputs_embeds` replaces the rows of the word table only."""
        words = self.word(input_ids) if inputs_embeds is None else inputs_embeds.to(self.word.weight.dtype)
        positions = torch.arange(words.shape[1], device=words.device)[None]
        if token_type_ids is None:
            token_type_ids = torch.zeros_like(positions)
        states = words + same_rows(self.position, positions, words) + same_rows(self.token_type, token_type_ids, words)
        return drop(self.dropout, self.norm(states))


class RegionEmbeddings(nn.Module):
    """dropout((feature_norm(feature(visual_feats)) + box_norm(box(visual_pos))) / 2)."""

    def __init__(self, config: LxmertConfig):
        super().__init__()
        self.feature = nn.Linear(config.visual_feat_dim, config.hidden_size)
        self.feature_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.box = nn.Linear(config.visual_pos_dim, config.hidden_size)
        self.box_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, visual_feats: Tensor, visual_pos: Tensor) -> Tensor:  # [B, R, F], [B, R, P] -> [B, R, D]
        """Embed the regions."""
        features = self.feature_norm(linear(self.feature, visual_feats))
        boxes = self.box_norm(linear(self.box, visual_pos))
        return drop(self.dropout, (features + boxes) / 2)


class JointEmbeddings(nn.Module):
    """dropout(norm(concat(text, regions))), with one norm over both.

    text = word[ids] + position[0…L-1] + token_type[types]
    regions = feature(visual_embeds) + visual_position[0] + visual_token_type[types] + aligned
    aligned = the mean of position[p] over the words p that a region is aligned with; 0 without any
    """

    def __init__(self, config: VisualBertConfig):
        super().__init__()
        # As in the original: only the padding word gets no gradient; every row of the other tables is trained.
        self.word = Embedding(config.vocab_size, config.hidden_size, config.pad_token_id)
        self.position = Embedding(config.max_position_embeddings, config.hidden_size, None)
        self.token_type = Embedding(config.type_vocab_size, config.hidden_size, None)
        self.feature = nn.Linear(config.visual_embedding_dim, config.hidden_size)
        self.visual_position = Embedding(config.max_position_embeddings, config.hidden_size, None)
        self.visual_token_type = Embedding(config.type_vocab_size, config.hidden_size, None)
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.special_visual_initialize = config.special_visual_initialize

    def forward(
        self,
        input_ids: Tensor | None,
        token_type_ids: Tensor | None,
        position_ids: Tensor | None,
        inputs_embeds: Tensor | None,
        visual_embeds: Tensor | None,
        visual_token_type_ids: Tensor | None,
        image_text_alignment: Tensor | None,
    ) -> Tensor:  # [B, L] or [B, L, D], [B, R, F] -> [B, L + R, D]
        """Embed the words, then the regions; `inputs_embeds` replaces the rows of the word table only."""
        words = self.word(input_ids) if inputs_embeds is None else inputs_embeds.to(self.word.weight.dtype)
        if position_ids is None:
            position_ids = torch.arange(words.shape[1], device=words.device)[None]
        if token_type_ids is None:
            token_type_ids = torch.zeros_like(position_ids)
        states = words + same_rows(self.position, position_ids, words)
        states = states + same_rows(self.token_type, token_type_ids, words)
        if visual_embeds is not None:
            regions = self.embed_regions(visual_embeds, visual_token_type_ids, image_text_alignment)
            states = torch.cat([states, regions], dim=1)
        return drop(self.dropout, self.norm(states))

    def embed_regions(
        self, visual_embeds: Tensor, visual_token_type_ids: Tensor | None, image_text_alignment: Tensor | None
    ) -> Tensor:  # [B, R, F] -> [B, R, D]
        """Embed the regions, before the norm."""
        features = linear(self.feature, visual_embeds)
        first = torch.zeros(1, 1, dtype=torch.long, device=features.device)
        if visual_token_type_ids is None:
            visual_token_type_ids = first + min(1, self.visual_token_type.num_embeddings - 1)
        regions = features + same_rows(self.visual_position, first, features)
        regions = regions + same_rows(self.visual_token_type, visual_token_type_ids, features)
        if image_text_alignment is None:
            return regions
        given = image_text_alignment != -1
        rows = self.position(torch.where(given, image_text_alignment, 0)) * given.unsqueeze(-1)  # [B, R, K, D]
        return regions + rows.sum(2) / given.sum(2, keepdim=True).clamp(min=1)

    def init_visual_tables(self) -> None:
        """Initialize the tables of the regions as copies of the words', if the config has `special_visual_initialize`.

        Differs from HF: the tables are copied there and initialized again afterwards.
        """
        if self.special_visual_initialize:
            with torch.no_grad():
                self.visual_position.weight.copy_(self.position.weight)
                self.visual_token_type.weight.copy_(self.token_type.weight)

"""How a model that answers easy-VQA is trained: the numbers, the same for both backends."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """How a model that answers easy-VQA is made, for either backend.

    Attributes:
        model_type: The kind of model, by the model type of its configuration.
        config: Arguments of the configuration; the numbers of words and of answers are the data's.
        text_length: L of every batch; the longest question takes it all.
        variants: How many changed versions of each image are made once, before training.
        varied: The part of the shapes that are shown in a changed version.
        company: The chance that a second shape joins an image, and then that a third does.
        epochs: How often each question is asked.
        batch_size: B.
        learning_rate: The highest, reached after the warm-up; from there it falls linearly to 0.
        warm_up: The part of all steps in which the learning rate rises linearly from 0.
        weight_decay: AdamW's, for weights of two and more dimensions; none for biases and norms.
        epsilon: AdamW's. PyTorch adds it to the bias-corrected root, Keras to the uncorrected one.
        max_grad_norm: The norm that all gradients together are scaled down to.
        seed: Of the initial weights and of the order and changes of the images.
    """

    model_type: str
    config: dict[str, int | float | None]
    text_length: int = 12
    variants: int = 2
    varied: float = 0.5
    company: float = 0.5
    epochs: int = 5
    batch_size: int = 128
    learning_rate: float = 1e-3
    warm_up: float = 0.1
    weight_decay: float = 0.01
    epsilon: float = 1e-8
    max_grad_norm: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1; got {getattr(self, name)}.")

    def learning_rate_at(self, step: int, steps: int) -> float:
        """The learning rate of step 0 <= ``step`` < ``steps``."""
        rising = max(1, round(self.warm_up * steps))
        return self.learning_rate * min((step + 1) / rising, (steps - step) / max(1, steps - rising))


LXMERT_RECIPE = Recipe(
    model_type="lxmert",
    config={
        "hidden_size": 96,
        "num_attention_heads": 4,
        "intermediate_size": 192,
        "l_layers": 1,
        "x_layers": 2,
        "r_layers": 1,
        "visual_feat_dim": 256,
        "visual_pos_dim": 4,
        "max_position_embeddings": 32,
        # Dropout keeps the model from the exact rules that these questions follow (it stays near 94 %).
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        # The usual 0.02 suits widths near 768. At a width of 96 the layers then start so weak that training may stay
        # for many epochs where it answers "not" questions by chance.
        "initializer_range": 0.05,
    },
)
"""Found by measuring; see `Recipe` for what each number does."""

VISUAL_BERT_RECIPE = Recipe(
    model_type="visual_bert",
    text_length=13,  # one more than LXMERT's questions have: [MASK]
    config={
        "hidden_size": 96,
        "num_attention_heads": 4,
        "intermediate_size": 192,
        "num_hidden_layers": 4,
        "visual_embedding_dim": 256,
        "max_position_embeddings": 32,
        # As in the vocabulary that is made from the questions.
        "pad_token_id": 0,
        "bos_token_id": None,
        "eos_token_id": None,
        # The same reasons as above.
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "initializer_range": 0.05,
    },
)
"""The same for VisualBERT."""

RECIPES = {recipe.model_type: recipe for recipe in (LXMERT_RECIPE, VISUAL_BERT_RECIPE)}

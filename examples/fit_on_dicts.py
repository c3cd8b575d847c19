"""Fine-tune a Keras model with `fit` on a dict of arrays, save it, and load it again.

    python examples/fit_on_dicts.py

The task is made up, so that it can be learned in seconds: the answer to a question is the number of its first word.
Needs: pip install -e ".[tf]".
"""

import tempfile
from pathlib import Path

import keras
import numpy as np

from lxmert import LxmertConfig, TFLxmertForQuestionAnswering

ANSWERS, WORDS, REGIONS, FEATURES = 4, 6, 3, 8


def make_examples(count: int, seed: int) -> dict[str, np.ndarray]:
    """Draw questions of random words about random regions, and label each with the number of its first word."""
    random = np.random.default_rng(seed)
    input_ids = random.integers(1, 1 + ANSWERS, (count, WORDS))
    return {
        "input_ids": input_ids,
        "visual_feats": random.random((count, REGIONS, FEATURES), dtype=np.float32),
        "visual_pos": random.random((count, REGIONS, 4), dtype=np.float32),
        "labels": input_ids[:, 0] - 1,
    }


def main() -> None:
    """Train, score, save and load."""
    keras.utils.set_random_seed(0)
    config = LxmertConfig(
        vocab_size=1 + ANSWERS,
        hidden_size=32,
        num_attention_heads=4,
        intermediate_size=64,
        l_layers=1,
        r_layers=1,
        x_layers=1,
        visual_feat_dim=FEATURES,
        num_qa_labels=ANSWERS,
    )
    model = TFLxmertForQuestionAnswering(config)
    model.compile(keras.optimizers.AdamW(3e-3))  # without a loss: the model computes its own from the labels
    model.fit(make_examples(512, seed=1), batch_size=32, epochs=4, verbose=2)

    test = make_examples(100, seed=2)
    labels = test.pop("labels")
    scores = model.predict(test, verbose=0)["question_answering_score"]
    print(f"right answers: {(scores.argmax(axis=1) == labels).mean():.0%}")

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        loaded = keras.saving.load_model(path)
        same = np.allclose(loaded(test).question_answering_score, scores, atol=1e-5)
        print(f"the loaded model gives the same scores: {same}")


if __name__ == "__main__":
    main()

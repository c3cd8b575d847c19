"""Convert weights between the formats of both frameworks, compare the files, and run both models on one input.

    python examples/convert_and_compare.py

Neither framework is loaded for the conversion. The two models at the end need both of them.
Needs: pip install -e ".[pt,tf]".
"""

import tempfile
from pathlib import Path

import numpy as np
import torch

from lxmert import LxmertConfig, LxmertForQuestionAnswering, TFLxmertForQuestionAnswering, convert
from lxmert.weights.compare import compare


def main() -> None:
    """Save in PyTorch, convert to Keras and back, compare."""
    torch.manual_seed(0)
    config = LxmertConfig(
        vocab_size=100,
        hidden_size=32,
        num_attention_heads=4,
        intermediate_size=64,
        visual_feat_dim=16,
        num_qa_labels=5,
        l_layers=2,
        r_layers=1,
        x_layers=1,
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        LxmertForQuestionAnswering(config).save_pretrained(folder / "original")
        for source, target in (
            ("original", "model.keras"),
            ("model.keras", "model.weights.h5"),
            ("model.weights.h5", "back"),
        ):
            done = convert(folder / source, folder / target)
            print(f"{source} -> {target}: {done.tensors} tensors, {done.size:,} bytes")
        report = compare(folder / "original", folder / "back")
        same = (folder / "original/model.safetensors").read_bytes() == (folder / "back/model.safetensors").read_bytes()
        print(f"the same weights: {report.same}; the same bytes: {same}")

        random = np.random.default_rng(0)
        inputs = {
            "input_ids": random.integers(1, 100, (2, 7)),
            "visual_feats": random.random((2, 5, 16), dtype=np.float32),
            "visual_pos": random.random((2, 5, 4), dtype=np.float32),
        }
        pt_model = LxmertForQuestionAnswering.from_pretrained(folder / "original")
        with torch.no_grad():
            pt_scores = pt_model(**{k: torch.from_numpy(v) for k, v in inputs.items()}).question_answering_score.numpy()
        tf_scores = TFLxmertForQuestionAnswering.from_pretrained(folder / "model.keras")(inputs)
        difference = np.abs(pt_scores - np.asarray(tf_scores.question_answering_score)).max()
        print(f"largest difference of the scores of PyTorch and Keras: {difference:.1e}")


if __name__ == "__main__":
    main()

"""Small checkpoints and data for the programs and engines."""

import pytest
import torch
import transformers
from transformers import BertTokenizerFast

from tests.small import is_visual_bert, small_config

CLASSES = (
    "LxmertModel",
    "LxmertForPreTraining",
    "LxmertForQuestionAnswering",
    "VisualBertModel",
    "VisualBertForPreTraining",
    "VisualBertForQuestionAnswering",
    "VisualBertForVisualReasoning",
    "VisualBertForMultipleChoice",
    "VisualBertForRegionToPhraseAlignment",
)
WORDS = (
    "[PAD] [UNK] [CLS] [SEP] [MASK] what color is the cat ? blue a dog , . red where on mat ##s ##ing play green two"
)


@pytest.fixture(scope="session")
def folders(tmp_path_factory) -> dict[str, str]:
    """A small checkpoint of each class with its vocabulary, as `transformers` saves them."""
    root = tmp_path_factory.mktemp("checkpoints")
    vocab = {word: number for number, word in enumerate(WORDS.split())}
    made = {}
    torch.manual_seed(0)
    for name in CLASSES:
        kind = transformers.VisualBertConfig if is_visual_bert(name) else transformers.LxmertConfig
        folder = root / name
        getattr(transformers, name)(kind(**small_config(name).to_dict())).save_pretrained(folder)
        BertTokenizerFast(vocab=vocab).save_pretrained(folder)
        made[name] = str(folder)
    (root / "vocab.txt").write_text("".join(f"{word}\n" for word in WORDS.split()))
    return made

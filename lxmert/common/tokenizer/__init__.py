"""WordPiece tokenization on the `tokenizers` library: text in, NumPy, PyTorch or TensorFlow ids out."""

from .batch_encoding import BatchEncoding
from .lxmert_tokenizer import LxmertTokenizer, LxmertTokenizerFast

__all__ = ["BatchEncoding", "LxmertTokenizer", "LxmertTokenizerFast"]

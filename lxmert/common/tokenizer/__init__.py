"""WordPiece tokenization on the `tokenizers` library: text in, NumPy, PyTorch or TensorFlow ids out."""

from .batch_encoding import BatchEncoding
from .lxmert_tokenizer import LxmertTokenizer, LxmertTokenizerFast

# VisualBERT reads words with BERT's tokenizer, which is the same one.
BertTokenizer = LxmertTokenizer
BertTokenizerFast = LxmertTokenizerFast

__all__ = ["BatchEncoding", "BertTokenizer", "BertTokenizerFast", "LxmertTokenizer", "LxmertTokenizerFast"]

"""Tokenizers: text to ids and back, padding, offsets, added tokens, collators."""

PROGRAMS = {
    "a question and its answer are a pair": """
from transformers import LxmertTokenizerFast
tokenizer = LxmertTokenizerFast(VOCAB)
result = dict(tokenizer("what color is the cat?", "the cat is blue"))
""",
}

"""The table of programs: each a few lines that people write for `transformers`, by a name that says what it does.

A program leaves what it computed in `result`: plain values, arrays or tensors. It is run twice: as it stands, and with
its imports from `transformers` taken from `lxmert.pt`, for the names that this package has. Both results must be equal.
It finds `FOLDERS` (small checkpoints saved by `transformers`, by class name, each with its vocabulary), `VOCAB` (a
vocab.txt), `INPUTS` (the inputs of LXMERT), `VISUAL_INPUTS` (those of VisualBERT), and runs in an empty folder.
"""

from . import configurations, models, outputs, parts, saving, tokenizers, training

SECTIONS = {
    "configurations": configurations.PROGRAMS,
    "tokenizers": tokenizers.PROGRAMS,
    "outputs": outputs.PROGRAMS,
    "models": models.PROGRAMS,
    "parts": parts.PROGRAMS,
    "saving": saving.PROGRAMS,
    "training": training.PROGRAMS,
}
PROGRAMS = {f"{section}: {name}": code for section, programs in SECTIONS.items() for name, code in programs.items()}

"""Faults, each of which `make test` has to notice: `python tests/mutations.py` plants them one by one.

A fault is one changed text of the package. The script copies the repository to a temporary folder, changes the text
there, and runs the files of tests that are named beside it (without those marked `full`). A fault is caught if a test
fails. The exit status is 1 if one survives.

    python tests/mutations.py                all of them (about 20 minutes on 2 cores)
    python tests/mutations.py --only 3 17    some
    python tests/mutations.py --list         what they are
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
COPIED = ("lxmert", "tests", "benchmarks", "examples", "scripts", "pyproject.toml")


class Mutation(NamedTuple):
    """A fault: the file of the package, its text, what it becomes, and the tests that have to fail."""

    what: str
    file: str
    old: str
    new: str
    tests: str

    def mutate(self, root: Path) -> str:
        """The text of the file with the fault.

        Raises:
            ValueError: the text to change is not there exactly once.
        """
        text = (root / "lxmert" / self.file).read_text(encoding="utf-8")
        if (count := text.count(self.old)) != 1:
            raise ValueError(
                f"lxmert/{self.file} must hold {self.old!r} once, for {self.what!r}; it is there {count} times."
            )
        return text.replace(self.old, self.new)


MUTATIONS = (
    # The models
    Mutation(
        "the residual of attention is subtracted (PyTorch)",
        "pt/layers.py",
        "attended, residual=states)), weights",
        "attended, residual=-states)), weights",
        "tests/equivalence/test_models.py",
    ),
    Mutation(
        "the epsilon of a frozen norm is left out where it is folded (PyTorch)",
        "pt/resnet.py",
        "(norm.running_var.to(least) + norm.eps)",
        "norm.running_var.to(least)",
        "tests/reference/test_detector.py",
    ),
    Mutation(
        "the last bin of a region ends a cell early",
        "vision/faster_rcnn/pooling.py",
        "np.ceil(edges[:, 1:])",
        "np.floor(edges[:, 1:])",
        "tests/reference/test_detector.py",
    ),
    Mutation(
        "the mask lets through what it should hide (Keras)",
        "tf/layers.py",
        "scores = scores + bias.additive",
        "scores = scores - bias.additive",
        "tests/equivalence/test_models.py",
    ),
    Mutation(
        "language attends to masked regions (PyTorch)",
        "pt/cross_layer.py",
        "self.cross_attention(language_in, visual_in, visual_bias, ",
        "self.cross_attention(language_in, visual_in, None, ",
        "tests/equivalence/test_models.py",
    ),
    Mutation(
        "the word head drops its bias (Keras)",
        "tf/heads.py",
        "ops.cast(table, self.compute_dtype))) + self.bias",
        "ops.cast(table, self.compute_dtype)))",
        "tests/equivalence/test_models.py",
    ),
    Mutation(
        "the epsilon of the layer norms is another one (Keras)",
        "tf/layers.py",
        "epsilon=self.config.layer_norm_eps",
        "epsilon=1e-6",
        "tests/equivalence/test_models.py",
    ),
    Mutation(
        "the visual losses have another weight (PyTorch)",
        "pt/losses.py",
        "mean * config.visual_loss_normalizer",
        "mean * 6.0",
        "tests/reference/test_pretraining_losses.py",
    ),
    Mutation(
        "small dtypes are not widened before the losses (Keras)",
        "tf/losses.py",
        'else ops.cast(scores, "float32")',
        "else scores",
        "tests/backends/test_dtypes.py",
    ),
    Mutation(
        "ignored labels count in the mean (PyTorch)",
        "pt/losses.py",
        "(label != IGNORED_LABEL).sum().clamp(min=1)",
        "label.numel()",
        "tests/equivalence/test_losses.py",
    ),
    Mutation(
        "one index too many is allowed",
        "common/validation/shared.py",
        "high >= allowed.end:",
        "high > allowed.end:",
        "tests/backends/test_bad_inputs.py",
    ),
    # Weights
    Mutation(
        "kernels are read without being transposed",
        "weights/checkpoint.py",
        "return parameter.leaf.to_torch(values) if self.mapping.keras_layout else values",
        "return values",
        "tests/weights/test_formats.py tests/reference/test_golden_transformers.py",
    ),
    Mutation(
        "a file that ends inside of an array is read",
        "utils/file_bytes.py",
        "if done < values.nbytes:",
        "if done < 0:",
        "tests/weights/test_hostile_files.py tests/weights/test_formats.py",
    ),
    Mutation(
        "an image of kilobytes may take gigabytes",
        "vision/image_files.py",
        "if needed > most:",
        "if needed > 100 * most:",
        "tests/vision/test_hostile_images.py",
    ),
    Mutation(
        "photographs of any size are opened ahead",
        "utils/run_ahead.py",
        "self._bytes < MOST_BYTES",
        "self._bytes < 10**9",
        "tests/utils/test_held_memory.py",
    ),
    Mutation(
        "HDF5 files may point to other files",
        "utils/hdf5/description.py",
        "layout == h5py.h5d.VIRTUAL or properties.get_external_count() > 0",
        "False",
        "tests/weights/test_hostile_files.py",
    ),
    Mutation(
        "pickles may name any function",
        "utils/pickle_machine.py",
        "if name not in self.names:",
        "if not name:",
        "tests/weights/test_hostile_files.py tests/weights/test_torch_pickle.py",
    ),
    # Data and images
    Mutation(
        "the labels of masked words are shifted by one",
        "data/collate/masking.py",
        "np.where(selected, input_ids, IGNORED_LABEL)",
        "np.where(selected, np.roll(input_ids, 1), IGNORED_LABEL)",
        "tests/data/test_masking.py",
    ),
    Mutation(
        "two processes may write one region store",
        "data/features/partial_store.py",
        "                lock(self._lock)\n",
        "                pass\n",
        "tests/data/test_features.py",
    ),
    Mutation(
        "a link in the place of unfinished work is followed",
        "data/features/partial_store.py",
        "if self.path.is_symlink() or (",
        "if False or (",
        "tests/utils/test_temporary_files.py",
    ),
    Mutation(
        "a user's own folder is taken for a temporary one",
        "utils/temporary_files.py",
        "        if not _ENDING.fullmatch(name.removeprefix(beginning)):\n",
        "        if not name.endswith('.tmp'):\n",
        "tests/weights/test_interruptions.py",
    ),
    Mutation(
        "a full disk is told without the file",
        "utils/write_errors.py",
        "if found is None and error.errno in OF_WRITING:",
        "if False:",
        "tests/training/test_logs.py tests/data/test_datasets_files.py",
    ),
    Mutation(
        "boxes are divided by the wrong side",
        "vision/shapes/regions.py",
        "boxes[region] = (columns.start / width",
        "boxes[region] = (columns.start / height",
        "tests/vision/test_regions.py",
    ),
    # Inference and training
    Mutation(
        "match gives the probability of the contrary",
        "inference/bulk.py",
        "np.exp(scores[:, 0] - scores[:, 1])",
        "np.exp(scores[:, 1] - scores[:, 0])",
        "tests/equivalence/test_bulk.py",
    ),
    Mutation(
        "a resumed run leaves out a step",
        "training/run.py",
        "trainer.run(self.steps, first, ",
        "trainer.run(self.steps, first + bool(first), ",
        "tests/training/test_resume.py",
    ),
    Mutation(
        "BertAdam adds epsilon inside of the root (Keras)",
        "training/tf/optimizers.py",
        "ops.sqrt(velocity) + self.epsilon)\n        if self.decay:",
        "ops.sqrt(velocity + self.epsilon))\n        if self.decay:",
        "tests/equivalence/test_optimizers.py",
    ),
    Mutation(
        "the learning rate rises by the wrong factor",
        "training/schedule.py",
        "return x / warm_up\n",
        "return x * warm_up\n",
        "tests/training/test_schedule.py",
    ),
    # The detector
    Mutation(
        "the network of the detector reads RGB",
        "vision/faster_rcnn/preprocess.py",
        'if config.channel_order == "BGR":',
        'if config.channel_order == "RGB":',
        "tests/vision/test_network_input.py",
    ),
    Mutation(
        "arrays in BGR order are taken for RGB",
        "detection/region_detector.py",
        "image[..., [2, 1, 0, ",
        "image[..., [0, 1, 2, ",
        "tests/detection/test_region_detector.py",
    ),
)


def copy_repository(folder: Path) -> None:
    """Copy what the tests need."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.exists():
            shutil.copy(source, folder / name)


def is_caught(mutation: Mutation, folder: Path) -> bool:
    """Plant a fault in a copy of the repository, run its tests, and take it out again.

    Raises:
        RuntimeError: the tests could not be run at all.
    """
    path = folder / "lxmert" / mutation.file
    whole = path.read_text(encoding="utf-8")
    path.write_text(mutation.mutate(folder), encoding="utf-8")
    try:
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *mutation.tests.split()]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    finally:
        path.write_text(whole, encoding="utf-8")
    if done.returncode not in (0, 1):
        raise RuntimeError(
            f"the tests of {mutation.what!r} could not be run:\n{done.stdout[-3000:]}{done.stderr[-1000:]}"
        )
    return done.returncode == 1


def main(arguments: list[str] | None = None) -> int:
    """Plant the faults that are asked for. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="list the faults, and run nothing")
    parser.add_argument("--only", type=int, nargs="+", metavar="N", help="plant only these faults, counted from 1")
    asked = parser.parse_args(arguments)
    chosen = [(i, one) for i, one in enumerate(MUTATIONS, start=1) if asked.only is None or i in asked.only]
    if asked.list:
        for number, mutation in chosen:
            print(f"{number:2}  {mutation.what}: lxmert/{mutation.file}, {mutation.tests}")
        return 0
    for _, mutation in chosen:
        mutation.mutate(ROOT)  # a text that has changed is told before anything is run
    survived = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        copy_repository(folder)
        for number, mutation in chosen:
            caught = is_caught(mutation, folder)
            survived += not caught
            print(f"{number:2}  {'caught  ' if caught else 'SURVIVED'}  {mutation.what}", flush=True)
    print(f"{len(chosen) - survived} of {len(chosen)} faults were caught")
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())

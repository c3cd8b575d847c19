"""Answer questions about many images on several machines or GPUs, as a pipeline of Ray Data.

Each worker loads the model, and the detector if images are photographs, once from their sources; blocks of questions
go to the workers, and answers come back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from lxmert.utils.counts import check_integer
from lxmert.utils.foreign_files import is_of_the_system
from lxmert.utils.progress import ProgressBar
from lxmert.utils.ray_cluster import RayCluster, connected, import_ray
from lxmert.utils.ray_pipeline import results_in_order
from lxmert.vision.detections import ImageDetections

from .answering import ScoredAnswer, VisualQuestionAnswering

if TYPE_CHECKING:
    import pyarrow

_WANTED_BY = "Answering on a cluster"
_DAMAGE = (ValueError, TypeError, OSError)  # of opening an image


class AskedQuestion(NamedTuple):
    """A question with its answers.

    Attributes:
        image, question: as they were given.
        answers: the likeliest answers, the likeliest first; none where there is an error.
        error: why the image cannot be asked about, None if it can.
    """

    image: str
    question: str
    answers: list[ScoredAnswer]
    error: str | None


class AnsweringWorker:
    """Answers blocks of questions; a process of Ray makes it once.

    Args:
        model: the arguments of `VisualQuestionAnswering.from_pretrained`.
        top_k, batch_size: of its calls.
    """

    def __init__(self, model: Mapping[str, Any], top_k: int, batch_size: int) -> None:
        self._answerer = VisualQuestionAnswering.from_pretrained(**model)
        self._top_k, self._batch_size = top_k, batch_size

    def __call__(self, questions: pyarrow.Table) -> pyarrow.Table:
        """Columns image and question to lists of answers and scores, and the errors of images."""
        import pyarrow

        images, texts = (questions.column(name).to_pylist() for name in ("image", "question"))
        found = {image: self._regions(image) for image in dict.fromkeys(images)}
        regions = [found[image] for image in images]
        good = [row for row, of_image in enumerate(regions) if isinstance(of_image, ImageDetections)]
        answers: list[Any] = [[] for _ in images]
        if good:
            asked = [regions[row] for row in good], [texts[row] for row in good]
            for row, best in zip(good, self._answerer(*asked, self._top_k, self._batch_size), strict=True):
                answers[row] = best
        errors = [None if isinstance(of_image, ImageDetections) else of_image for of_image in regions]
        answer = pyarrow.struct({"answer": pyarrow.string(), "score": pyarrow.float64()})
        return pyarrow.table(
            {
                "answers": pyarrow.array(answers, pyarrow.list_(answer)),
                "error": pyarrow.array(errors, pyarrow.string()),
            }
        )

    def _regions(self, image: str) -> ImageDetections | str:
        """The regions of an image, or why there are none."""
        try:
            return self._answerer.find_regions([image])[0]
        except _DAMAGE as error:
            if is_of_the_system(error):
                raise
            return str(error)


def answer_on_ray(
    source: str | Path,
    questions: Sequence[tuple[str | Path, str]],
    backend: str = "pt",
    *,
    cluster: RayCluster | None = None,
    top_k: int = 1,
    batch_size: int = 64,
    block_size: int = 256,
    progress: bool = False,
    **options: Any,
) -> Iterator[AskedQuestion]:
    """Answer many questions about images on a cluster of Ray; each image's regions are found once.

    ```python
    options = {"detector": "unc-nlp/frcnn-vg-finetuned", "answers": "trainval_label2ans.json"}
    for asked in answer_on_ray("unc-nlp/lxmert-vqa-uncased", [("photo.jpg", "what is it?"), …], **options):
        print(asked.image, asked.answers)
    ```

    The answers are those of `VisualQuestionAnswering` in one process. A worker whose process dies is replaced, and does
    again what it had not finished. Where the regions are in a store already, `lxmert predict --ray` is faster.

    Args:
        source: of the model, as `VisualQuestionAnswering.from_pretrained` takes it.
        questions: pairs of an image and a question: paths that are the same on all machines, or with `features` names.
        backend: "pt" or "tf".
        cluster: the workers.
        top_k: how many answers to return for each question.
        batch_size: how many questions go through the model at once.
        block_size: about how many questions a worker gets at a time; those about one image stay together.
        progress: whether to show how far it is, on standard error.
        options: the others of `VisualQuestionAnswering.from_pretrained`, by their names, paths and values: sources of
            models and detectors, not the objects.

    Yields:
        An `AskedQuestion` for each, in their order, as soon as it and those before it are answered.

    Raises:
        ImportError: Ray is not installed.
        ConnectionError: no cluster has this address.
        ValueError, OSError: no questions; and as of `from_pretrained`.
    """
    import_ray(_WANTED_BY)
    import pyarrow

    block_size = check_integer("block_size", block_size)
    asked = [(str(image), question) for image, question in questions]
    if not asked:
        raise ValueError("questions must be at least one; got none.")
    cluster = RayCluster(gpus=None) if cluster is None else cluster
    blocks = _blocks([image for image, _ in asked], block_size)
    tables = [
        pyarrow.table({"image": [asked[row][0] for row in rows], "question": [asked[row][1] for row in rows]})
        for rows in blocks
    ]
    arguments = {
        "model": {"source": str(source), "backend": backend, "pack_weights": False, **options},
        "top_k": top_k,
        "batch_size": batch_size,
    }

    def in_order() -> Iterator[AskedQuestion]:
        done: dict[int, AskedQuestion] = {}
        following = 0
        with (
            connected(cluster, _WANTED_BY),
            closing(results_in_order(tables, AnsweringWorker, arguments, cluster)) as results,
            ProgressBar("answering", len(asked), "questions", progress) as bar,
        ):
            for rows, table in zip(blocks, results, strict=True):
                for row, found in zip(rows, table.to_pylist(), strict=True):
                    done[row] = AskedQuestion(*asked[row], found["answers"], found["error"])
                bar.update(len(rows))
                while following in done:
                    yield done.pop(following)
                    following += 1

    return in_order()


def _blocks(images: Sequence[str], size: int) -> list[list[int]]:
    """The numbers of questions in blocks; the questions about an image are in one of them."""
    about: dict[str, list[int]] = {}
    for row, image in enumerate(images):
        about.setdefault(image, []).append(row)
    blocks: list[list[int]] = [[]]
    for rows in about.values():
        if blocks[-1] and len(blocks[-1]) + len(rows) > size:
            blocks.append([])
        blocks[-1] += rows
    return blocks

"""What an explanation costs, beside a plain forward pass and beside the published code, one example at a time.

    python benchmarks/explanation_cost.py [--rounds 3] [--only pt-lxmert ...]

The models have base size and random weights; examples have 20 tokens and 36 regions without padding. Each side is a
process of its own, and "peak" is the most memory that it had.

Ours is `explain(model, inputs)`, so relevancy with its rules, of batches of 32 and of 1; for comparison a plain forward
pass of the same batch by the same model, in inference mode in PyTorch and as a graph in Keras. Both take turns, and the
figures are medians. The peak of memory is that after the first explanation of 32 examples, and after a forward pass
before it. Keras has computed four batches of 1 before, after which it traces graphs.

The peer is what the published code of Chefer, Gur and Wolf does for each example, with the models of `transformers`,
because theirs do not run with current versions: a batch of one with the eager attention; the probabilities of every
attention kept, also of those that `transformers` does not return, each with a hook that keeps its gradient; the score
of the highest answer as the sum of the scores times a vector of one 1; `model.zero_grad()`; `backward` with
`retain_graph=True`, which computes the gradients of all weights too; then the rules in PyTorch. Their own models do
more: each layer keeps its inputs for relevance propagation, and there are copies of tensors for it; this is left out.
The figure is the median of several examples.

The results go to benchmarks/results/explanation_cost.json, and by benchmarks/report.py into docs/speed.md.
"""

from __future__ import annotations

import json
import statistics
import time
from pathlib import Path
from typing import Any

from clock import in_turns, memory
from inputs import ANSWERS, FEATURES, inputs
from processes import run_in_processes

RESULTS = Path(__file__).parent / "results" / "explanation_cost.json"
RUNS = ("pt-lxmert", "pt-visual_bert", "tf-lxmert", "tf-visual_bert", "peer-lxmert", "peer-visual_bert")
BATCHES = (32, 1)
EXAMPLES, WARM_UP = 8, 2  # of the peer
CALLS_BEFORE_GRAPHS = 4  # of Keras
ASKED = {"of a forward pass": 3.5, "times faster": 8}


def given_of(kind: str, batch: int) -> dict[str, Any]:
    """A batch by the argument names of a kind of model."""
    given = inputs(batch)
    if kind == "visual_bert":
        del given["visual_pos"]
        given["visual_embeds"] = given.pop("visual_feats")
    return given


def measure(backend: str, kind: str, rounds: int) -> dict[str, Any]:
    """Seconds of a forward pass and of an explanation for each batch size, and memory."""
    import lxmert

    if kind == "lxmert":
        name, config = "LxmertForQuestionAnswering", lxmert.LxmertConfig(num_qa_labels=ANSWERS)
    else:
        name = "VisualBertForQuestionAnswering"
        config = lxmert.VisualBertConfig(num_labels=ANSWERS, visual_embedding_dim=FEATURES)
    found: dict[str, Any] = {"batches": {}}
    explain, forward = _torch(name, config) if backend == "pt" else _keras(name, config)
    for batch in BATCHES:
        given = given_of(kind, batch)
        jobs = {"forward": forward(given), "explain": lambda given=given: explain(given)}
        if not found["batches"]:
            for job in jobs:
                jobs[job]()
                found[f"peak, {job}"] = memory("VmHWM") / 1024
        seconds = in_turns(jobs, rounds if batch > 1 else 4 * rounds)
        found["batches"][batch] = seconds
    return found


def _torch(name: str, config: Any) -> Any:
    import torch

    import lxmert.pt
    from lxmert.explain import explain

    torch.manual_seed(0)
    model = getattr(lxmert.pt, name)(config).eval()

    def forward(given: dict[str, Any]) -> Any:
        tensors = {name: torch.from_numpy(array) for name, array in given.items()}

        def run() -> None:
            with torch.inference_mode():
                model(**tensors)

        return run

    return lambda given: explain(model, given), forward


def _keras(name: str, config: Any) -> Any:
    import keras
    import tensorflow as tf

    import lxmert.tf
    from lxmert.explain import explain

    keras.utils.set_random_seed(0)
    model = getattr(lxmert.tf, f"TF{name}")(config)
    for _ in range(CALLS_BEFORE_GRAPHS):
        explain(model, given_of(config.model_type, 1))
    graph = tf.function(lambda tensors: model(tensors, training=False)[0], reduce_retracing=True, autograph=False)

    def forward(given: dict[str, Any]) -> Any:
        tensors = {name: tf.constant(array) for name, array in given.items()}
        return lambda: graph(tensors).numpy()

    return lambda given: explain(model, given), forward


class Published:
    """The published code on a model of `transformers`; see the top of the file."""

    def __init__(self, kind: str):
        import torch
        import transformers
        from transformers.models.lxmert import modeling_lxmert
        from transformers.models.visual_bert import modeling_visual_bert

        torch.manual_seed(0)
        self.kind = kind
        if kind == "lxmert":
            config = transformers.LxmertConfig(num_qa_labels=ANSWERS)
            self.model: Any = transformers.LxmertForQuestionAnswering(config).eval()
            attention: Any = modeling_lxmert.LxmertAttention
        else:
            config = transformers.VisualBertConfig(
                num_labels=ANSWERS, visual_embedding_dim=FEATURES, attn_implementation="eager"
            )
            self.model = transformers.VisualBertForQuestionAnswering(config).eval()
            attention = modeling_visual_bert.VisualBertSelfAttention
        self.maps: list[Any] = []
        self.gradients: dict[int, Any] = {}
        for module in self.model.modules():
            if isinstance(module, attention):
                if kind == "lxmert":  # which asks some of its attentions for no probabilities
                    module.register_forward_pre_hook(_ask_for_maps, with_kwargs=True)
                module.register_forward_hook(self._keep)

    def _keep(self, module: Any, args: Any, output: Any) -> None:
        """Keep the probabilities, and their gradient when it comes."""
        place, weights = len(self.maps), output[1]
        self.maps.append(weights)
        weights.register_hook(lambda gradient: self.gradients.__setitem__(place, gradient))

    def explain(self, given: dict[str, Any]) -> Any:
        """The relevance of words and regions of one example."""
        import torch

        self.maps.clear()
        self.gradients.clear()
        output = self.model(**{name: torch.from_numpy(array) for name, array in given.items()}, output_attentions=True)
        scores = output.question_answering_score if self.kind == "lxmert" else output.logits
        chosen = torch.zeros_like(scores)
        chosen[0, scores.argmax()] = 1
        score = (chosen * scores).sum()
        self.model.zero_grad()
        score.backward(retain_graph=True)
        relevance = [self._relevance(place) for place in range(len(self.maps))]
        return _lxmert_rules(relevance) if self.kind == "lxmert" else _visual_bert_rules(relevance)

    def _relevance(self, place: int) -> Any:
        """What is positive in a map times its gradient, averaged over heads; None where no gradient comes."""
        gradient = self.gradients.get(place)
        return None if gradient is None else (gradient * self.maps[place].detach())[0].clamp(min=0).mean(0)


def _ask_for_maps(module: Any, args: Any, kwargs: Any) -> Any:
    """Ask an attention of LXMERT for its probabilities."""
    return args, {**kwargs, "output_attentions": True}


def _visual_bert_rules(relevance: list[Any]) -> Any:
    """Relevance passed on from layer to layer, and the row that the answer is read from."""
    import torch

    total = torch.eye(len(relevance[0]))
    for weights in relevance:
        total = total + weights @ total
    return total[18]


def _lxmert_rules(relevance: list[Any]) -> Any:
    """Relevance passed on from layer to layer and from stream to stream; maps in the order of `transformers`."""
    import torch

    def normalized(total: Any) -> Any:
        own = total - torch.eye(len(total))
        return own / own.sum(-1, keepdim=True) + torch.eye(len(total))

    # Language layers, visual layers, and of each cross layer: both directions, then both self-attentions.
    language_maps, visual_maps, cross_maps = relevance[:9], relevance[9:14], relevance[14:]
    language, visual = torch.eye(len(language_maps[0])), torch.eye(len(visual_maps[0]))
    to_visual, to_language = torch.zeros(len(language), len(visual)), torch.zeros(len(visual), len(language))
    for weights in language_maps:
        language = language + weights @ language
    for weights in visual_maps:
        visual = visual + weights @ visual
    for layer in range(5):
        to_regions, to_words, words, regions = cross_maps[4 * layer : 4 * layer + 4]
        last = layer == 4
        new = (
            to_visual + normalized(language).T @ to_regions @ normalized(visual),
            language + to_regions @ to_language,
        )
        if not last:
            to_language, visual = (
                to_language + normalized(visual).T @ to_words @ normalized(language),
                visual + to_words @ to_visual,
            )
        to_visual, language = new
        to_visual, language = to_visual + words @ to_visual, language + words @ language
        if not last:
            to_language, visual = to_language + regions @ to_language, visual + regions @ visual
    return language[0], to_visual[0]


def measure_peer(kind: str) -> dict[str, Any]:
    """Seconds of each example, and memory."""
    published = Published(kind)
    seconds = []
    for number in range(WARM_UP + EXAMPLES):
        given = {name: array[number : number + 1] for name, array in given_of(kind, WARM_UP + EXAMPLES).items()}
        start = time.perf_counter()
        published.explain(given)
        seconds.append(time.perf_counter() - start)
    return {"example": statistics.median(seconds[WARM_UP:]), "peak": memory("VmHWM") / 1024}


def report(runs: dict[str, Any]) -> None:
    """Print the figures."""
    for name, found in runs.items():
        if name.startswith("peer"):
            print(f"{name}: {found['example'] * 1000:.0f} ms an example, peak {found['peak']:.2f} GB")
            continue
        peer = runs.get(f"peer-{name.partition('-')[2]}")
        for batch, figures in found["batches"].items():
            ratio, asked = figures["explain"] / figures["forward"], ""
            if int(batch) == BATCHES[0]:
                asked = f" (asked {ASKED['of a forward pass']})"
            text = f"{name}, batch {batch}: {figures['explain'] * 1000:.0f} ms, {ratio:.2f} of a forward pass{asked}"
            if peer is not None:
                faster = peer["example"] * int(batch) / figures["explain"]
                text += f", {faster:.1f} x faster than one at a time" + (
                    f" (asked {ASKED['times faster']})" if asked else ""
                )
            print(text)
        print(f"{name}: peak {found['peak, explain']:.2f} GB, {found['peak, forward']:.2f} GB of a forward pass")


def measure_run(name: str, rounds: int) -> dict[str, Any]:
    """The figures of one of `RUNS`."""
    side, kind = name.split("-")
    return measure_peer(kind) if side == "peer" else measure(side, kind, rounds)


def main() -> None:
    """Measure in processes, print, write."""
    found = run_in_processes(__file__, __doc__, RUNS, RESULTS, 3, measure_run)
    if found is None:
        return
    results, output = found
    results["runs"] = {name: results["runs"][name] for name in RUNS if name in results["runs"]}
    report(results["runs"])
    output.parent.mkdir(exist_ok=True)
    output.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()

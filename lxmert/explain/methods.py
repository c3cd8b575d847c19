"""The methods of explanation, by name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lxmert.utils.messages import unknown_keyword_message


@dataclass(frozen=True)
class Method:
    """A method of explanation.

    Attributes:
        title: as pages, plots and tables name it.
        summary: one sentence that says what it computes.
        signed: whether its values may be negative: those speak against the answer.
        depends_on_answer: whether it says something else of another answer.
        only_lxmert: whether it exists only where two streams attend to each other.
    """

    title: str
    summary: str
    signed: bool = False
    depends_on_answer: bool = True
    only_lxmert: bool = False


METHODS: dict[str, Method] = {
    "relevancy": Method("Relevancy", "Attention maps times their gradients, passed on from layer to layer."),
    "relevancy_no_normalization": Method(
        "Relevancy, not normalized",
        "As relevancy, but what one stream has gathered is not normalized before it goes to the other.",
        only_lxmert=True,
    ),
    "relevancy_no_self_attention": Method(
        "Relevancy, cross attention alone",
        "As relevancy, but what goes from one stream to the other does not contain what each has gathered before.",
        only_lxmert=True,
    ),
    "raw_attention": Method(
        "Raw attention", "The attention maps of the last layer, averaged over heads.", depends_on_answer=False
    ),
    "attention_grad_cam": Method(
        "Attention Grad-CAM", "The attention maps of the last layer, each head weighted by its mean gradient."
    ),
    "attention_rollout": Method(
        "Attention roll-out", "The product of the attention maps of all layers.", depends_on_answer=False
    ),
    "input_x_gradient": Method(
        "Input times gradient", "Each input times the gradient of the score by it.", signed=True
    ),
    "integrated_gradients": Method(
        "Integrated gradients", "Gradients on the way from an empty input, times the input.", signed=True
    ),
}
"""All methods, by the name that `explain` takes."""


def methods_of(model_type: str) -> list[str]:
    """The names of the methods that a kind of model has: "lxmert" or "visual_bert"."""
    return [name for name, method in METHODS.items() if model_type == "lxmert" or not method.only_lxmert]


def checked_methods(methods: str | Iterable[str] | None, model_type: str) -> list[str]:
    """The methods that are asked for, each once; all that a kind of model has by default.

    Raises:
        ValueError: none, an unknown one, or one that this kind of model does not have.
    """
    known = methods_of(model_type)
    if methods is None:
        return known
    names = list(dict.fromkeys([methods] if isinstance(methods, str) else methods))
    for name in names:
        if name not in METHODS:
            raise ValueError(unknown_keyword_message(str(name), METHODS, "method"))
        if name not in known:
            raise ValueError(
                f"only LXMERT has the method {name!r}, a variant of what passes from one stream to the other; this "
                f"model has one sequence of words and regions, and the methods {', '.join(known)}."
            )
    if not names:
        raise ValueError(f"methods must be at least one of {', '.join(known)}.")
    return names

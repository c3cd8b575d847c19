"""Why a model gives an answer: how much each word and each region counts for it.

Importing this package imports no framework; a name is imported when it is first used.
"""

from typing import TYPE_CHECKING

from lxmert.utils.lazy_names import lazy_names

if TYPE_CHECKING:
    from lxmert.explain.curves import PerturbationCurves
    from lxmert.explain.drawing import draw_explanations
    from lxmert.explain.explaining import explain, explain_methods
    from lxmert.explain.explanation import Explanation
    from lxmert.explain.methods import METHODS, methods_of
    from lxmert.explain.page import write_page
    from lxmert.explain.perturbation import perturbation_curves
    from lxmert.explain.questions import explain_questions
    from lxmert.explain.views import AnswerView, ImageView, MethodView, ModelView, QuestionView

__all__ = [
    "METHODS",
    "AnswerView",
    "Explanation",
    "ImageView",
    "MethodView",
    "ModelView",
    "PerturbationCurves",
    "QuestionView",
    "draw_explanations",
    "explain",
    "explain_methods",
    "explain_questions",
    "methods_of",
    "perturbation_curves",
    "write_page",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "lxmert.explain.curves": ("PerturbationCurves",),
            "lxmert.explain.drawing": ("draw_explanations",),
            "lxmert.explain.explaining": ("explain", "explain_methods"),
            "lxmert.explain.explanation": ("Explanation",),
            "lxmert.explain.methods": ("METHODS", "methods_of"),
            "lxmert.explain.page": ("write_page",),
            "lxmert.explain.perturbation": ("perturbation_curves",),
            "lxmert.explain.questions": ("explain_questions",),
            "lxmert.explain.views": ("AnswerView", "ImageView", "MethodView", "ModelView", "QuestionView"),
        },
    )

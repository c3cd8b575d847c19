"""`lxmert ask`: how answers are shown, whatever a checkpoint calls them."""

import json

import pytest

from lxmert.cli import main


@pytest.fixture
def asked(monkeypatch):
    """A model whose only answer would steer the terminal."""
    from lxmert.inference import answering

    class Answerer:
        @classmethod
        def from_pretrained(cls, *_, **__):
            return cls()

        def __call__(self, images, questions, top_k):
            return [[{"answer": "grün\x1b[2J\x9b", "score": 0.5}] for _ in questions]

    monkeypatch.setattr(answering, "VisualQuestionAnswering", Answerer)


def test_nothing_steers_the_terminal(asked, capsys):
    assert main(["ask", "a.png", "what color?", "what?"]) == 0
    assert capsys.readouterr() == ("what color?  grün\\x1b[2J\\x9b 50.00%\nwhat?        grün\\x1b[2J\\x9b 50.00%\n", "")
    assert main(["ask", "a.png", "what?", "--json"]) == 0
    out = capsys.readouterr().out
    assert not set("\x1b\x9b") & set(out)
    assert "grün" in out
    assert json.loads(out) == [{"question": "what?", "answers": [{"answer": "grün\x1b[2J\x9b", "score": 0.5}]}]

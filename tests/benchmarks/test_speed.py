"""The parts of benchmarks/speed.py that measure nothing: counted work, processors, rows, tables."""

import json
import sys
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from lxmert.pt import LxmertForPreTraining, LxmertForQuestionAnswering, VisualBertModel
from tests.small import small_config

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

import machine
import report_speed
import rows
import work
import workers

SCRIPTS = Path(__file__).parents[2] / "benchmarks"
TOKENS, REGIONS = 5, 3
SIZES = dict(l_layers=2, r_layers=3, x_layers=2)
EPYC = """\
vendor_id	: AuthenticAMD
cpu family	: 25
model		: 17
model name	: AMD EPYC
flags		: fpu avx2 avx512f avx512_bf16 avx512_vnni
"""


def counted(model, **inputs):
    """What PyTorch counts in a forward pass of two examples."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(input_ids=torch.ones(2, TOKENS, dtype=torch.long), **inputs)
    return counter.get_total_flops()


def regions(config):
    return dict(visual_feats=torch.rand(2, REGIONS, config.visual_feat_dim), visual_pos=torch.rand(2, REGIONS, 4))


def test_work_of_an_answer():
    config = small_config("LxmertForQuestionAnswering", attn_implementation="eager", **SIZES)
    found = counted(LxmertForQuestionAnswering(config).eval(), **regions(config))
    assert found == 2 * work.lxmert_answer(config, TOKENS, REGIONS)


def test_work_of_pretraining():
    config = small_config("LxmertForPreTraining", attn_implementation="eager", **SIZES)
    labels = torch.full((2, TOKENS), -100)
    labels[0, 1:] = 3
    ones, zeros = torch.ones(2, REGIONS), torch.zeros(2, REGIONS, dtype=torch.long)
    given = regions(config)
    obj_labels = {"obj": (zeros, ones), "attr": (zeros, ones), "feat": (given["visual_feats"], ones)}
    found = counted(
        LxmertForPreTraining(config).eval(), **given, labels=labels, obj_labels=obj_labels, prediction_logits=False
    )
    assert found == work.pretraining(config, 2, TOKENS, REGIONS, words=TOKENS - 1, features=2 * REGIONS)
    assert work.training(found) == 3 * found


def test_work_of_visual_bert():
    """A backbone is needed as a whole; an answer needs one position of the last layer, and no pooler."""
    config = small_config("VisualBertModel", attn_implementation="eager", num_hidden_layers=3)
    model = VisualBertModel(config, add_pooling_layer=False).eval()
    whole = counted(model, visual_embeds=torch.rand(2, REGIONS, config.visual_embedding_dim)) // 2
    length = TOKENS + REGIONS
    spared = work.layer(config, length) - work.layer(config, length, needed=1)
    head = work.linear(1, config.hidden_size, config.num_labels)
    assert work.visual_bert_answer(config, TOKENS, REGIONS) == whole - spared + head


def test_work_in_bulk():
    """Each question and each image is encoded once."""
    config = small_config("LxmertForQuestionAnswering", **SIZES)
    one = work.lxmert_answer(config, TOKENS, REGIONS)
    again = one - work.encode_vision(config, REGIONS)
    assert work.answering(config, [TOKENS], 1, REGIONS) == one
    assert work.answering(config, [TOKENS] * 3, 1, REGIONS) == one + 2 * again
    heads = work.answer_head(config) - work.match_head(config)
    assert work.matching(config, [TOKENS], 1, REGIONS) == one - heads


@pytest.mark.parametrize(
    ("info", "name", "instructions"),
    [
        (EPYC, "AMD EPYC (Zen 4)", ["avx2", "avx512f", "avx512_vnni", "avx512_bf16"]),
        (EPYC.replace("25", "26"), "AMD EPYC (Zen 5)", ["avx2", "avx512f", "avx512_vnni", "avx512_bf16"]),
        ("model name : Some CPU\nflags : amx_int8", "Some CPU", ["amx_int8"]),
    ],
)
def test_processors_are_told_apart(info, name, instructions):
    found = machine.processor(info, cores=2)
    assert (found["name"], found["instructions"]) == (name, instructions)
    assert machine.key(found).startswith(name)


def test_products_are_measured():
    rates = machine.products(rounds=1, size=64)
    assert set(rates) == {"float32", "bfloat16", "int8"}
    assert machine.best(rates, "int8") == max(rates["int8"].values()) > 0


def test_rows_that_share_a_side_run_together():
    names = ["forward-32-float32", "answering-float32", "forward-1-float32", "answering-int8"]
    assert rows.groups(names) == [[names[0]], [names[1], names[3]], [names[2]]]


RESULTS = {
    "AMD EPYC (Zen 4), family 25, model 17, 2 cores": {
        "processor": machine.processor(EPYC, cores=2),
        "gflops": {"float32": {"PyTorch": 100.0, "oneDNN": 200.0}, "bfloat16": {"PyTorch": 400.0}},
        "rows": {
            "forward-32-float32": {
                "code": "abc1234",
                "date": "2026-11-30",
                "flops": 320e9,
                "gflops": 200.0,
                "values": {"ours": 2.0, "transformers": 3.0, "onnx": 2.5},
                "peaks": {"ours": 1500.0, "transformers": 2000.0, "onnx": 1000.0},
                "asked": {"share": 0.92, "onnx": 1.1},
            },
            "activations": {
                "code": "abc1234",
                "date": "2026-11-30",
                "values": {"ours": 500.0, "transformers": 1000.0},
                "peaks": {},
            },
        },
    }
}


def test_table_of_a_processor():
    table = report_speed.tables(RESULTS)
    (line,) = [line for line in table.splitlines() if "batch 32, float32" in line]
    cells = [cell.strip() for cell in line.split("|")[1:-1]]
    assert cells == [
        "LXMERT: answers, batch 32, float32", "2 s", "80%", "3 s", "1.50", "2.5 s", "1.25", "1.5 / 2.0 / 1.0 GB"
    ]  # fmt: skip
    assert "| 500 MB | | 1,000 MB | 2.00 |" in table
    assert "100 by PyTorch, 200 by oneDNN in float32; 400 by PyTorch in bfloat16." in table
    assert "abc1234" in table


def test_summary_names_what_is_reached():
    summary = report_speed.summary(RESULTS)
    assert "| AMD EPYC (Zen 4) | float32 | 2 s (80%, 1.25 x) |" in summary


def test_results_in_the_repository_fit_the_rows():
    results = json.loads((SCRIPTS / "results" / "speed.json").read_text())
    assert results
    for found in results.values():
        assert set(found["rows"]) <= set(rows.rows())
        assert report_speed.tables({"": found})


def test_a_worker_that_ends_is_left_out(capsys):
    code = f"import sys; sys.path.append({str(SCRIPTS)!r}); import workers; workers.serve(lambda: {{}}, lambda: {{}})"
    sound, ending = ([sys.executable, "-c", code.format(*each)] for each in (("0", "[1.0, 3.0, 2.0]"), ("0", "1 / 0")))
    found = workers.measure_workers({"sound": workers.Worker(sound), "ending": workers.Worker(ending)}, rounds=2)
    assert list(found) == ["sound"]
    assert found["sound"].value == 2
    assert found["sound"].peak > 1
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_the_newest_processor_comes_first():
    (found,) = RESULTS.values()
    older = {"rows": {"activations": found["rows"]["activations"] | {"date": "2026-11-29"}}}
    assert list(report_speed.newest_first({"older": older, "newer": found})) == ["newer", "older"]

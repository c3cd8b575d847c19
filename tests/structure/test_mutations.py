"""The seeded faults of `tests/mutations.py` can be planted still. (The script itself plants them and runs tests.)"""

import pytest

from tests.mutations import MUTATIONS, ROOT, Mutation, main


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.what)
def test_every_fault_can_be_planted(mutation):
    text = mutation.mutate(ROOT)
    assert text != (ROOT / "lxmert" / mutation.file).read_text(encoding="utf-8")
    compile(text, mutation.file, "exec")
    assert mutation.tests
    for name in mutation.tests.split():
        assert (ROOT / name).is_file()


def test_there_are_some_in_all_rooms(capsys):
    assert main(["--list"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(MUTATIONS) >= 22
    rooms = {mutation.file.split("/")[0] for mutation in MUTATIONS}
    assert {"common", "weights", "pt", "tf", "data", "vision", "detection", "inference", "training"} <= rooms


def test_a_text_that_has_changed_is_told():
    lost = Mutation("nothing", "__init__.py", "a text that is not there", "", "tests/structure/test_mutations.py")
    with pytest.raises(ValueError, match=r"must hold 'a text that is not there' once, .*; it is there 0 times"):
        lost.mutate(ROOT)

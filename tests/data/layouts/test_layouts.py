"""Every row of the table of layouts is imported, also when the import stops after each image."""

import numpy as np
import pytest

from lxmert.data.features import ImportOptions, import_regions, open_regions
from lxmert.data.features.sources.open import LAYOUTS, open_source

from . import EXPECTED, Case
from .array_cases import ARRAY_CASES
from .text_cases import TEXT_CASES

CASES = {case.name: case for case in [*TEXT_CASES, *ARRAY_CASES]}


def write(case: Case, folder):
    """The sources, and the options of their import."""
    from . import DATA

    source = DATA / case.source if isinstance(case.source, str) else case.source(folder)
    options = {
        key: DATA / value if isinstance(value, str) and (DATA / value).is_file() else value
        for key, value in case.options.items()
    }
    options = {key: value(folder) if callable(value) else value for key, value in options.items()}
    return source if isinstance(source, list) else [source], options


@pytest.mark.parametrize("name", CASES)
def test_layout(tmp_path, name):
    case = CASES[name]
    (tmp_path / "source").mkdir()
    sources, options = write(case, tmp_path / "source")
    report = import_regions(sources, tmp_path / "store", ImportOptions(**options))
    assert (report.images, report.skipped) == (len(case.names), [])
    store = open_regions(tmp_path / "store")
    assert store.names == case.names
    found = store.batch(range(len(case.names)), labels=bool(case.labels))
    features, boxes = case.tolerance
    np.testing.assert_allclose(found["visual_feats"], EXPECTED["features"], rtol=features, atol=0)
    np.testing.assert_allclose(found["visual_pos"], EXPECTED["normalized"], rtol=0, atol=boxes)
    assert store.sizes([0]).tolist() == [list(case.size)]
    for key, values in case.labels.items():
        np.testing.assert_array_equal(found[key][0], values)


@pytest.mark.parametrize("name", CASES)
def test_every_image_can_be_the_first_after_a_stop(tmp_path, name):
    sources, options = write(CASES[name], tmp_path)
    source_options = ImportOptions(**options).source_options()
    for path in sources:
        source = open_source(path, source_options)
        entries = list(source.entries(None))
        assert source.consumed(None) == 0
        for number, entry in enumerate(entries):
            after = [one.where for one in source.entries(entry.position)]
            assert after == [one.where for one in entries[number + 1 :]]


def test_every_layout_has_an_example():
    assert len({layout.name for layout in LAYOUTS}) == len(LAYOUTS)
    for layout in LAYOUTS:
        assert " regions" in layout.example

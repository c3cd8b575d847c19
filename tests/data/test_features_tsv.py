"""TSV files: which order their columns have, what contradicts it, and what is missing or damaged."""

import gzip
import json
import shutil
import zipfile

import numpy as np
import pytest

from lxmert.data.features import ImportOptions, import_regions, open_regions
from lxmert.data.features.image_regions import ImageRegions
from lxmert.data.features.sources.text import records, tsv
from lxmert.data.features.sources.text.json_cells import parse_content
from tests.data.layouts import DATA
from tests.data.region_files import bottom_up_line, lxmert_line, text, write_tsv

WIDTH_FIRST, HEIGHT_FIRST = (
    f"image_id,{sides},num_boxes,boxes,features" for sides in ("image_w,image_h", "image_h,image_w")
)


def picture(name, x=90.0, y=90.0, height=100, width=200):
    """An image with a box that ends at x and y: from 102 on, x shows that the image is wide."""
    boxes = np.array([[0, 0, 10, 10], [5, 5, x, y]], np.float32)
    return ImageRegions(str(name), np.ones((2, 3), np.float32) * int(name), boxes, (height, width))


def height_first(one):
    return bottom_up_line(one, image_w=str(one.size[0]), image_h=str(one.size[1]))


UNDECIDED = [picture(number) for number in range(4)]
DECIDED = [*UNDECIDED, picture(4, x=190.0)]


def imported(folder, file, **options):
    import_regions([file], folder / "store", ImportOptions(**options))
    store = open_regions(folder / "store")
    sizes = store.sizes(range(len(store))).tolist()
    shutil.rmtree(folder / "store")
    return sizes


@pytest.mark.parametrize("line", [bottom_up_line, height_first])
def test_boxes_decide_whether_width_or_height_comes_first(tmp_path, line):
    assert imported(tmp_path, write_tsv(tmp_path / "a.tsv", DECIDED, line)) == [[100, 200]] * 5


def test_where_both_orders_fit_it_is_asked_for(tmp_path):
    message = rf"does not say whether width or height comes first.*--columns {WIDTH_FIRST} or --columns {HEIGHT_FIRST}"
    for file in (write_tsv(tmp_path / "a.tsv", UNDECIDED, bottom_up_line), DATA / "six_columns_height_first.tsv"):
        for skip in (False, True):
            with pytest.raises(ValueError, match=message):
                import_regions([file], tmp_path / "store", ImportOptions(clip_boxes=skip, skip_damaged=skip))
    assert imported(tmp_path, tmp_path / "a.tsv", columns=WIDTH_FIRST) == [[100, 200]] * 4
    assert imported(tmp_path, tmp_path / "a.tsv", columns=HEIGHT_FIRST) == [[200, 100]] * 4  # nothing contradicts it


@pytest.mark.parametrize("lenient", [False, True])
def test_a_wrong_order_is_never_stored(tmp_path, lenient):
    """Neither --clip-boxes nor --skip-damaged hides that boxes contradict the columns of the user or of a header."""
    how = {"clip_boxes": lenient, "skip_damaged": lenient}
    file = write_tsv(tmp_path / "a.tsv", DECIDED, bottom_up_line)
    message = rf"of 1 images at its start fit only if height and width are exchanged.*Pass --columns {WIDTH_FIRST}"
    with pytest.raises(ValueError, match=message):
        import_regions([file], tmp_path / "store", ImportOptions(columns=HEIGHT_FIRST, **how))
    file.write_text("id\timg_h\timg_w\tnum_boxes\tboxes\tfeatures\n" + file.read_text())
    with pytest.raises(ValueError, match=message):
        import_regions([file], tmp_path / "store", ImportOptions(**how))
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("options", [{}, {"columns": HEIGHT_FIRST}])
def test_a_box_that_contradicts_the_order_stops_the_import(tmp_path, monkeypatch, options):
    """The images at the start show nothing, or the other order; the last one does."""
    monkeypatch.setattr(tsv, "_SAMPLE_IMAGES", 4)
    first = UNDECIDED if options else [picture(number, x=90.0, y=190.0, height=200, width=100) for number in range(4)]
    lines = [*map(height_first, first), bottom_up_line(picture(9, x=190.0))]
    (tmp_path / "a.tsv").write_text("".join(lines))
    with pytest.raises(
        ValueError, match=r"line 5, image '9': its boxes fit .* Pass --columns .*--restart.*so far: 4"
    ) as error:
        import_regions(
            [tmp_path / "a.tsv"], tmp_path / "store", ImportOptions(**options, clip_boxes=True, skip_damaged=True)
        )
    assert "--skip-damaged" not in str(error.value)
    assert not (tmp_path / "store").exists()


def test_boxes_a_little_outside_are_clipped_in_a_known_order(tmp_path):
    """A detector's overshoot is no evidence. A single image does not contradict a stated order, but is not clipped."""
    images = [picture(0, x=201.5), picture(1, x=190.0), picture(2, x=150.0, y=120.0, height=100, width=130)]
    file = write_tsv(tmp_path / "a.tsv", images[:2], bottom_up_line)
    assert imported(tmp_path, file, clip_boxes=True) == [[100, 200]] * 2
    file = write_tsv(tmp_path / "b.tsv", [*images, picture(3, x=90.0, y=150.0)], bottom_up_line)
    options = ImportOptions(columns=WIDTH_FIRST, clip_boxes=True, skip_damaged=True)
    report = import_regions([file], tmp_path / "skipped", options)
    assert report.images == 3
    assert "image '3': its boxes fit an image 100 wide" in report.skipped[0]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            "image_id,image_h,image_w,num_boxs,boxes,features",
            r"unexpected column 'num_boxs'\. Did you mean 'num_boxes'",
        ),
        ("image_id,image_h,image_h,boxes,features", "image_h twice"),
        ("image_h,image_w,boxes", "no image_id, no features"),
    ],
)
def test_wrong_names_of_columns(columns, message):
    with pytest.raises(ValueError, match=message):
        ImportOptions(columns=columns)


def test_features_without_boxes(tmp_path):
    file = shutil.copy(DATA / "vinvl_features.tsv", tmp_path / "vinvl_features.tsv")
    with pytest.raises(ValueError, match=r"has features, but no boxes\. Pass the file that has them with --boxes-from"):
        import_regions([file], tmp_path / "store")
    rows = (DATA / "vinvl.tsv").read_text().splitlines(keepends=True)
    (tmp_path / "turned.tsv").write_text("".join(rows[::-1]))
    (tmp_path / "short.tsv").write_text(rows[0])
    for name, message in {"turned": "line 1 of .* is about '2'", "short": "has no row for it"}.items():
        with pytest.raises(ValueError, match=f"{message}.*in th.* order"):
            import_regions(
                [file], tmp_path / name, ImportOptions(boxes_from=tmp_path / f"{name}.tsv", skip_damaged=True)
            )


def test_sizes_follow_from_the_positions_in_oscars_features(tmp_path):
    """Its features end in the box as fractions of the image, its width and its height."""
    expected = dict(np.load(DATA / "expected.npz"))
    lines = {"feature": [], "label": []}
    for name, values, boxes, parts in zip(
        "012", *(expected[k] for k in ("features", "boxes", "normalized")), strict=True
    ):
        rows = np.concatenate([values, parts, parts[:, 2:] - parts[:, :2]], 1)
        lines["feature"].append(f"{name}\t4\t{text(rows, '<f4')}\n")
        lines["label"].append(f"{name}\t{json.dumps([{'rect': box.tolist()} for box in boxes])}\n")
    for kind, rows in lines.items():
        (tmp_path / f"{kind}.tsv").write_text("".join(rows))
    import_regions([tmp_path / "feature.tsv"], tmp_path / "store")
    store = open_regions(tmp_path / "store")
    assert store.sizes(range(3)).tolist() == [[300, 320]] * 3
    np.testing.assert_array_equal(store.batch([2])["visual_feats"][0, :, :6], expected["features"][2])
    plain = [line.split("\t") for line in (DATA / "vinvl_features.tsv").read_text().splitlines()]
    (tmp_path / "feature.tsv").write_text("".join("\t".join(row) + "\n" for row in plain))
    with pytest.raises(ValueError, match=r"height and width .*--sizes"):
        import_regions([tmp_path / "feature.tsv"], tmp_path / "other")


def test_what_is_not_known_is_named(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("notes.txt", "x")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"x")
    (tmp_path / "list.json").write_text(json.dumps([1, 2]))
    (tmp_path / "empty.zip").write_bytes(b"PK\x03\x04")
    for name, what in {
        "a.zip": r"is a ZIP of text files, .* The nearest that is read: JSON of VL-BERT",
        "photos": r"is a folder of images, .* The nearest that is read: ",
        "list.json": "is a JSON file",
        "empty.zip": "is not a complete ZIP archive",
    }.items():
        with pytest.raises(ValueError, match=what):
            import_regions([tmp_path / name], tmp_path / "store")


def test_a_packed_file_goes_on_where_it_stopped_and_is_known_to_be_cut(tmp_path):
    images = [picture(number, x=190.0) for number in range(6)]
    lines = [bottom_up_line(one).encode() for one in images]
    file = tmp_path / "a.tsv"
    file.write_bytes(gzip.compress(b"".join([*lines[:3], b"0\t0\n", *lines[3:]])))
    with pytest.raises(ValueError, match=r"line 4.*so far: 3"):
        import_regions([file], tmp_path / "store")
    file.write_bytes(gzip.compress(b"".join(lines)))
    report = import_regions([file], tmp_path / "store")
    assert (report.images, report.resumed) == (6, 3)
    content = gzip.compress(np.random.default_rng(0).bytes(99).hex().encode() + b"".join(lines))
    file.write_bytes(content[:-40])
    with pytest.raises(ValueError, match="packed by gzip, is damaged or truncated"):
        import_regions([file], tmp_path / "other")


def test_a_quote_that_is_never_closed_does_not_swallow_lines(tmp_path):
    lines = [bottom_up_line(one) for one in DECIDED]
    lines[1] = '"' + lines[1]
    (tmp_path / "a.tsv").write_text("".join(lines))
    report = import_regions([tmp_path / "a.tsv"], tmp_path / "store", ImportOptions(skip_damaged=True))
    assert (report.skipped, open_regions(tmp_path / "store").names) == ([], ["0", '"1', "2", "3", "4"])


def test_a_damaged_image_of_lxmert_is_no_reason_to_doubt_its_columns(tmp_path):
    labels = {name: np.zeros(2, np.int64) for name in ("object_ids", "attribute_ids")}
    labels |= {name: np.zeros(2, np.float32) for name in ("object_confidence", "attribute_confidence")}
    images = [ImageRegions(**{**vars(one), **labels}) for one in [picture(0, x=190.0), picture(1, x=95.0, y=190.0)]]
    file = write_tsv(tmp_path / "a.tsv", images, lxmert_line)
    report = import_regions([file], tmp_path / "store", ImportOptions(skip_damaged=True))
    assert report.images == 1
    assert "not one 200 wide and 100 high; those of other images do not show" in report.skipped[0]


def test_numbers_of_other_dtypes_in_base64(tmp_path):
    """The halves of float64 numbers look like float32 ones, and such a file must not become a store."""
    one = picture(1, x=190.0)
    features = text(np.linspace(0.1, 1, 6, dtype=np.float32).reshape(2, 3), "<f8")
    for cells, message in (
        ({"features": features}, "its features must be float32; their bytes may be those of float64"),
        (
            {"boxes": text(np.float32(one.boxes) / 3, "<f8")},
            "none has boxes that can be read: its boxes must",
        ),
    ):
        (tmp_path / "a.tsv").write_text(bottom_up_line(one, **cells))
        with pytest.raises(ValueError, match=message):
            import_regions([tmp_path / "a.tsv"], tmp_path / "store")


def test_a_folder_of_files_that_are_passed_themselves(tmp_path):
    write_tsv(tmp_path / "a.tsv", [picture(1)], bottom_up_line)
    with pytest.raises(ValueError, match=r"a folder of text files.*Pass its files instead: a\.tsv"):
        import_regions([tmp_path], tmp_path.with_name("store"))


def test_sizes_in_json_that_are_not_finite():
    with pytest.raises(ValueError, match=r"height and width must be integers; got \[inf, 5\]"):
        parse_content(b'{"image_h": 1e999, "image_w": 5}')


@pytest.mark.parametrize("form", ["VinVL", "VL-BERT"])
def test_sides_that_json_exchanges_are_not_clipped(tmp_path, form):
    def written(one, **sides):
        boxes, features = np.asarray(one.boxes, "<f4"), np.asarray(one.features, "<f4")
        if form == "VL-BERT":
            arrays = {"boxes": text(boxes, "<f4"), "features": text(features, "<f4")}
            return json.dumps({**sides, "num_boxes": len(boxes), **arrays})
        objects = [
            {"rect": box.tolist(), "feature": text(row, "<f4")} for box, row in zip(boxes, features, strict=True)
        ]
        return json.dumps({**sides, "objects": objects})

    images = [picture(number, x=190.0) for number in range(3)]
    cells = {one.name: written(one, image_h=one.size[1], image_w=one.size[0]) for one in images}
    source = tmp_path / "source"
    if form == "VL-BERT":
        source.mkdir()
        for name, cell in cells.items():
            (source / f"{name}.json").write_text(cell)
    else:
        source.write_text("".join(f"{name}\t{cell}\n" for name, cell in cells.items()))
    with pytest.raises(ValueError, match="sizes are height, width"):
        imported(tmp_path, source, clip_boxes=True, skip_damaged=True)


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["text", "gzip"])
def test_a_row_has_a_bound_of_lines(pack, tmp_path, monkeypatch):
    """A thousandth of them, packed, would be read for minutes."""
    monkeypatch.setattr(records, "_MOST_LINES", 1000)
    path = tmp_path / "a.tsv"
    for start in ('a\t1\t1\t1\tb\t"', '"'):
        path.write_bytes(pack((start + "A\n" * 3000).encode()))
        with pytest.raises(ValueError, match=r"a\.tsv, line 1002: the row has more than 1,000 lines; perhaps a quote"):
            import_regions([path], tmp_path / "store", ImportOptions(columns=WIDTH_FIRST))


def test_a_packed_text_may_not_hold_far_more_than_features_do(tmp_path, monkeypatch):
    path = tmp_path / "a.tsv.gz"
    path.write_bytes(gzip.compress("".join(map(bottom_up_line, DECIDED)).encode()))
    assert len(imported(tmp_path, path)) == len(DECIDED)
    monkeypatch.setattr(records, "max_unpacked_size", lambda packed: 100)
    with pytest.raises(ValueError, match=r"a\.tsv\.gz holds more text than gzip packs of features into its"):
        imported(tmp_path, path)


def test_json_of_far_more_values_than_an_image_has():
    with pytest.raises(ValueError, match="its JSON has more than 500,000 values, too many for an image"):
        parse_content(b'{"objects": [' + b"[]," * 300_000 + b"[]]}")


def test_a_damaged_first_row_of_json_is_named(tmp_path):
    (tmp_path / "a.tsv").write_text('1\t{"num_boxes": 1, "features": "A"}\n')
    with pytest.raises(ValueError, match=r"a\.tsv, line 1: its features are damaged base64: "):
        import_regions([tmp_path / "a.tsv"], tmp_path / "store")

"""Zip archives as weight files: those of Keras, those of something else, and those made to mislead."""

import json
import zipfile

import numpy as np
import pytest

from lxmert.weights.formats import open_weights


def archive_of(path, members, **options):
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


@pytest.mark.parametrize(
    ("description", "message"),
    [
        (b"{", "is not a JSON file"),
        (b"[]", "must hold a JSON object"),
        (b"{}", "is no .keras file of this package: it holds a 'something else', not a TFLxmert or TFVisualBert model"),
        (
            b'{"class_name": "Functional", "config": {"layers": []}}',
            "it holds a 'Functional', not a TFLxmert or TFVisualBert model",
        ),
        (b'{"class_name": "X", "config": {"config": [1]}}', "it holds a 'X'"),
        (b'{"class_name": "X", "config": {"config": {"a": 1}}}', "it holds a 'X'"),
        (b" " * (16 * 2**20 + 1), "'config.json' is larger than 1[0-9,]+ bytes"),
    ],
)
def test_archives_of_something_else(description, message, good, tmp_path):
    weights = zipfile.ZipFile(good / "good.keras").read("model.weights.h5")
    members = {"config.json": description, "model.weights.h5": weights}
    archive_of(tmp_path / "w.keras", members, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(ValueError, match=message):
        open_weights(tmp_path / "w.keras")


def test_a_compressed_archive_reads_too(good, tmp_path):
    with zipfile.ZipFile(good / "good.keras") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    archive_of(tmp_path / "w.keras", members, compression=zipfile.ZIP_DEFLATED)
    first, second = open_weights(good / "good.keras"), open_weights(tmp_path / "w.keras")
    assert first.shapes == second.shapes
    assert first.config == second.config == json.loads(members["config.json"])["config"]["config"]
    assert all(np.array_equal(first.read(name), second.read(name)) for name in first.shapes)
    first.close()
    second.close()


def test_an_encrypted_archive(good, tmp_path):
    content = bytearray((good / "good.keras").read_bytes())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = content.find(mark)
        while start >= 0:
            content[start + offset] |= 1
            start = content.find(mark, start + 1)
    (tmp_path / "w.keras").write_bytes(content)
    with pytest.raises(ValueError, match=r"config.json' is encrypted"):
        open_weights(tmp_path / "w.keras")

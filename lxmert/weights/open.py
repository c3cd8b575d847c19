"""Opening weights of any format: which model they are of, how they name parameters, and their configuration.

Both backends and the converter take their weights from here.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lxmert.common.config import ALL_CONFIGS, LxmertConfig, as_config, config_class
from lxmert.common.config.base import ModelConfig
from lxmert.hub import HubOptions
from lxmert.utils.atomic_files import is_consistent, recover_folder
from lxmert.utils.included_models import local_path
from lxmert.utils.messages import check_keywords, constructor_names
from lxmert.utils.paths import CONFIG_NAME
from lxmert.utils.yaml_files import read_yaml

from .checkpoint import Checkpoint
from .checksums import check_digits, check_sha256, weights_sha256
from .download import download_weights
from .formats import USUAL, ArraysInMemory, Selection, WeightFile, find_weights, open_weights
from .infer_config import FROM_SHAPES, config_from_shapes, is_bert_config, layers_from_bert, values_from_bert
from .naming.key_mapping import BERT, TIED_DECODER, Parameter, parameters
from .naming.recognize import CheckpointMismatchError, Recognized, recognize
from .naming.tables import MODELS
from .word_decoder import resolve_decoder

_ATTEMPTS = 100


def open_checkpoint(
    source: str | Path,
    config: ModelConfig | None = None,
    kind: type[ModelConfig] | None = None,
    hub: HubOptions | None = None,
    selection: Selection = USUAL,
    sha256: str | None = None,
    trusted: bool = False,
    **overrides: Any,
) -> Checkpoint:
    """Open a weight file or folder, or a model on the hub.

    Args:
        source: see `formats.open_weights`; or a repository on the hub.
        config: the model's configuration, where the file has none or another is wanted.
        kind: the class of the configuration, where only one kind of model is wanted.
        hub: `revision`, `cache_dir`, `token` and `local_files_only` for a model on the hub.
        selection: which weights of a folder or repository.
        sha256: that of the weights; others are refused before they are read. See `checksums.weights_sha256`.
        trusted: whether HDF5 may be opened in this process; see `formats.open_weights`.
        overrides: config fields that replace those of the file.

    Raises:
        FileNotFoundError: no weights.
        ValueError: a damaged or foreign file.
        TypeError: an override that is no field, a value of the wrong type, or another model's configuration.
    """
    if not isinstance(source, (str, os.PathLike)):
        raise TypeError(
            f"source must be a path or a model on the hub; got {type(source).__name__}. A state dict in memory goes "
            "into a model of this package by load_state_dict; any other one has to be saved first."
        )
    config = copy.deepcopy(as_config(config, kind or ModelConfig))
    selection.check()
    check_digits(sha256)
    # The error of the hub covers what is neither a path nor a repository.
    source = local_path(source) or download_weights(source, selection=selection, **(hub or {}))
    file, stored = _open_with_config(source, config is None, selection, sha256, trusted)
    return _recognized(file, stored, config, kind, overrides)


def open_arrays(
    arrays: Mapping[str, Any],
    source: str | Path | None,
    config: ModelConfig | None,
    kind: type[ModelConfig],
    hub: HubOptions | None = None,
    **overrides: Any,
) -> Checkpoint:
    """A checkpoint of arrays in memory by name, with a given configuration or that of `source`.

    Raises:
        TypeError: there is neither a configuration nor a source.
        As `open_checkpoint`.
    """
    if config is None and source is None:
        raise TypeError(f"a state_dict has no configuration: pass config, a {kind.__name__}.")
    config = copy.deepcopy(as_config(config, kind))
    config = kind.from_pretrained(str(source), **(hub or {})) if config is None else config
    return _recognized(ArraysInMemory(arrays), None, config, kind, overrides)


def _recognized(
    file: WeightFile,
    stored: Mapping[str, Any] | None,
    config: ModelConfig | None,
    kind: type[ModelConfig] | None,
    overrides: Mapping[str, Any],
) -> Checkpoint:
    """The checkpoint of an open file, which is closed if it is not one of these models."""
    try:
        if kind is not None and _describes_container(stored, kind):
            found, stored = _contained(file, kind, str((stored or {})["model_type"])), None
        else:
            found = recognize(file, _model_types(file, config, kind, stored))
        config, config_source = _configuration(file, found, config, kind, stored, overrides)
        checkpoint = Checkpoint(file, config, found.mapping, found.nested, found.names, config_source)
        checkpoint = _with_computed(checkpoint).with_int8()
        return resolve_decoder(checkpoint, tie_given="tie_word_embeddings" in overrides)
    except BaseException:
        file.close()
        raise


def _contained(file: WeightFile, kind: type[ModelConfig], container: str) -> Recognized:
    """What the names in a file of another model show of the one that is wanted.

    Raises:
        CheckpointMismatchError: it does not contain that.
    """
    try:
        return recognize(file, (kind.model_type,))
    except CheckpointMismatchError:
        model = MODELS[kind.model_type]
        raise CheckpointMismatchError(
            f"{file.path} is a {MODELS[container].title} that does not contain the {model.title}. {model.containers}"
        ) from None


def _describes_container(stored: Mapping[str, Any] | None, kind: type[ModelConfig]) -> bool:
    """Whether the configuration of a file is that of another model, which contains the one that is wanted."""
    return stored is not None and stored.get("model_type") in MODELS[kind.model_type].contained_in


def _with_computed(checkpoint: Checkpoint) -> Checkpoint:
    """The checkpoint with those parameters that its file may lack and lacks."""
    rows = {p.module: p for p in parameters(checkpoint.config, ())}
    computed = {
        rows[module].name: compute(checkpoint.config)
        for module, compute in MODELS[checkpoint.config.model_type].computed.items()
        if not checkpoint.stores(rows[module])
    }
    return replace(checkpoint, computed=computed) if computed else checkpoint


def model_type_of(source: str | Path) -> str:
    """The kind of model that weights are of, by the model type of its configuration.

    Raises:
        FileNotFoundError, ValueError: no such weights, or damaged or foreign ones.
    """
    file, stored = _open_with_config(local_path(source) or download_weights(source), True)
    try:
        return recognize(file, _model_types(file, None, None, stored)).model_type
    finally:
        file.close()


def _open_with_config(
    source: str | Path,
    with_config: bool,
    selection: Selection = USUAL,
    sha256: str | None = None,
    trusted: bool = False,
) -> tuple[WeightFile, dict[str, Any] | None]:
    """Open weights with the configuration that belongs to them, though another process may be replacing both.

    Raises:
        OSError: they are replaced again and again.
    """
    for _ in range(_ATTEMPTS):
        path = find_weights(source, selection)
        recover_folder(path.parent)  # waits for a process that is moving files there
        if not path.exists():
            continue
        before = path.stat()
        if sha256 is not None:
            check_sha256(source, sha256, weights_sha256(path))
        file = open_weights(path, trusted)
        try:
            stored = file.config if with_config else None
            if is_consistent(path.parent) and path.exists() and os.path.samestat(before, path.stat()):
                return file, stored
        except BaseException:
            file.close()
            raise
        file.close()
    raise OSError(f"{source} is replaced by another process again and again; it was not opened.")


def _model_types(
    file: WeightFile, config: ModelConfig | None, kind: type[ModelConfig] | None, stored: Mapping[str, Any] | None
) -> tuple[str, ...]:
    """The model types that a file may have, as far as its configuration says."""
    if config is not None:
        return (config.model_type,)
    if stored is None or is_bert_config(stored):
        return (kind.model_type,) if kind else tuple(ALL_CONFIGS)
    try:
        # The original LXMERT files state no model type.
        named = kind or config_class(stored, default=LxmertConfig)
        if stored.get("model_type", named.model_type) != named.model_type:
            named.from_dict(stored)  # raises the error that names both models
    except (TypeError, ValueError) as error:
        raise type(error)(f"the configuration of {file.path}: {error}") from None
    return (named.model_type,)


def _configuration(
    file: WeightFile,
    found: Recognized,
    config: ModelConfig | None,
    kind: type[ModelConfig] | None,
    stored: Mapping[str, Any] | None,
    overrides: Mapping[str, Any],
) -> tuple[ModelConfig, str]:
    """The configuration, and where it comes from: given, stored, or inferred from the shapes."""
    if config is not None:
        return config.replace(**overrides), "given"
    kind = kind or ALL_CONFIGS[found.model_type]
    config_name = CONFIG_NAME
    if stored is None:
        config_name, stored = _other_config(file, kind)
    check_keywords(kind.__name__, overrides, (*kind.keyword_names(), *constructor_names(kind)))
    if stored is not None:
        from_bert = is_bert_config(stored)
        values = values_from_bert(stored, kind, found.layer_counts) if from_bert else stored
        try:
            return kind.from_dict(values, **overrides), f"a BERT's {CONFIG_NAME}" if from_bert else config_name
        except (TypeError, ValueError) as error:
            also = " with the overrides" if overrides else ""
            raise type(error)(f"the configuration of {file.path}{also}: {error}") from None

    def shape_of(parameter: Parameter) -> tuple[int, ...] | None:
        name = found.names.get(found.mapping.key(parameter, found.nested))
        if name is None and parameter.module == "embeddings.word":  # the tied decoder may be stored in its place
            name = found.names.get(found.mapping.head_prefix + TIED_DECODER)
        if name is None:
            return None
        return parameter.leaf.torch_shape(file.shapes[name]) if found.mapping.keras_layout else file.shapes[name]

    counts = layers_from_bert(kind, found.layer_counts) if found.mapping is BERT else found.layer_counts
    return config_from_shapes(kind, counts, shape_of, str(file.path), overrides), FROM_SHAPES


def _other_config(file: WeightFile, kind: type[ModelConfig]) -> tuple[str, dict[str, Any] | None]:
    """The name and the values of a configuration of another name than config.json next to a file, if there is one."""
    for name in kind.file_names[1:]:
        path = file.path.parent / name
        if path.is_file():
            return name, read_yaml(path)
    return CONFIG_NAME, None

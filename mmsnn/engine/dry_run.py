"""One image in spike-train form, to learn early what will fail."""

import copy
from collections.abc import Iterator, MutableMapping, Sequence
from typing import Any

from torch import nn
from torch.utils.data import DataLoader

from mmsnn.conversion import UnclassifiedOpError
from mmsnn.conversion.upstream.copying import detached_copy
from mmsnn.conversion.upstream.random_numbers import own_random_numbers
from mmsnn.engine.spike_evaluation import SpikeEvaluation
from mmsnn.engine.whole_model import unwrapped
from mmsnn.hardware import Chip
from mmsnn.hardware.operations.estimate import estimate_operations

#: Where a model that is not trained detects nothing, its mask head has nothing
#: to do. These keys of any ``test_cfg`` let a few boxes through.
_FEW_BOXES = dict(score_thr=0., max_per_img=2)


def why_not_evaluated(model: nn.Module,
                      loader: DataLoader,
                      chip: str | Chip = 'cmos45',
                      proof_dtypes: Sequence[str] = (),
                      dtype: str | None = None) -> Exception | None:
    """Try whether a model can be evaluated in spike-train form.

    The first image of the data goes once through a copy of the model, as
    spike counts, and is compared with the training form. Of detectors, the
    copy keeps two boxes of any score. Nothing changes the model, the data
    loader or the random numbers that follow.

    Args:
        model (nn.Module): The model, trained or not, in its wrapper or not.
        loader (DataLoader): Its dataset has the image.
        chip (str | Chip): A chip spec that prices operations. Defaults to
            ``'cmos45'``.
        proof_dtypes (Sequence[str]): Floating-point types in which spike
            counts are compared. Defaults to none.
        dtype (str, optional): Floating-point type of the evaluation. Defaults
            to None: that of the model.

    Returns:
        Exception | None: What an evaluation would raise; None if nothing.
    """
    model = unwrapped(model)
    with own_random_numbers(0):
        try:
            batch = _first_image(loader)
        except Exception as error:
            return error
        return _tried(model, batch, chip, proof_dtypes, dtype)


def _tried(model: nn.Module, batch: Any, chip: str | Chip,
           proof_dtypes: Sequence[str], dtype: str | None) -> Exception | None:
    """What running the batch raises."""
    failed = None
    for few_boxes in (True, False):
        trial = detached_copy(model).eval()
        if few_boxes and not _let_few_boxes_through(trial):
            continue
        try:
            evaluation = SpikeEvaluation(
                trial, 'counts', bool(proof_dtypes), proof_dtypes, dtype=dtype)
            evaluation.compare(0, copy.deepcopy(batch))
            evaluation.spiking.test_step(copy.deepcopy(batch))
            estimate_operations(evaluation.trace, chip)
            return None
        except UnclassifiedOpError as error:
            return error
        except Exception as error:  # whatever it is, it will be said
            failed = error
    return failed


def _first_image(loader: DataLoader) -> Any:
    """A batch of the first sample. The pipeline is a copy: files that it
    opens are not for the loader's processes."""
    dataset = copy.copy(loader.dataset)
    if hasattr(dataset, 'pipeline'):
        dataset.pipeline = copy.deepcopy(dataset.pipeline)
    return loader.collate_fn([dataset[0]])


def _let_few_boxes_through(model: nn.Module) -> bool:
    """Change every ``test_cfg`` in a model; returns whether there was one."""
    found = False
    for module in model.modules():
        for config in _mappings(getattr(module, 'test_cfg', None)):
            for key, value in _FEW_BOXES.items():
                if key in config:
                    config[key] = min(config[key], value)
                    found = True
    return found


def _mappings(config: Any) -> Iterator[MutableMapping]:
    """A config and all in it."""
    if isinstance(config, MutableMapping):
        yield config
        for value in config.values():
            yield from _mappings(value)

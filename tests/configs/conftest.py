"""What tests of configs share: command line, data, values of metrics."""

import argparse
import json
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import cv2
import mmengine
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

from mmsnn.engine.cli import add_common_arguments, load_config


@pytest.fixture(scope='module', autouse=True)
def known_metafiles():
    """mmengine reads all of mmdet's metafiles for each `mmdet::` base, for a
    quarter of a second: here once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('mmengine.config.utils.load',
                      lru_cache(maxsize=None)(mmengine.load))
        yield


@pytest.fixture
def from_command_line(tmp_path):
    """Reads a config as the tools do, with --cfg-options."""

    def read(path: Path, options: list) -> Config:
        parser = argparse.ArgumentParser()
        parser.add_argument('config')
        add_common_arguments(parser)
        return load_config(parser.parse_args([
            str(path), '--work-dir', str(tmp_path / 'work'), '--cfg-options',
            *options]))

    return read


def validate(runner: Runner, predict: Callable[[dict], list]) -> dict:
    """Metrics of a function's predictions for the batches of validation."""
    evaluator = runner.val_loop.evaluator
    for batch in runner.val_dataloader:
        evaluator.process(data_samples=predict(batch), data_batch=batch)
    return evaluator.evaluate(len(runner.val_dataloader.dataset))


@pytest.fixture
def validate_one_answer():
    """Validates a model whose last layers find one class everywhere."""

    def validate_model(runner: Runner, layers: list, label: int) -> dict:
        with torch.no_grad():
            for layer in layers:
                layer.weight.zero_()
                layer.bias.zero_()[label] = 1
        runner.model.eval()
        return validate(runner, runner.model.val_step)

    return validate_model


@pytest.fixture
def validate_truth():
    """Validates a detector that finds all objects as they are."""

    def predict(runner: Runner, batch: dict) -> list:
        samples = runner.model.data_preprocessor(batch)['data_samples']
        for sample in samples:
            found = sample.gt_instances.clone()
            found.scores = torch.ones(len(found))
            if 'masks' in found:
                found.masks = found.masks.to_tensor(torch.bool, 'cpu')
            sample.pred_instances = found
        return samples

    return lambda runner: validate(
        runner, lambda batch: predict(runner, batch))


def write_image(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)


def noise() -> np.ndarray:
    return np.random.randint(0, 256, (64, 96, 3), np.uint8)


@pytest.fixture
def coco(tmp_path, monkeypatch):
    """Two training images and one to validate on, in COCO's folders."""
    from mmdet.datasets import CocoDataset
    root = tmp_path / 'data' / 'coco'
    (root / 'annotations').mkdir(parents=True)
    categories = [dict(id=i, name=name) for i, name in enumerate(
        CocoDataset.METAINFO['classes'], 1)]
    box = [20., 10., 50., 40.]
    for split, number in (('train2017', 2), ('val2017', 1)):
        for i in range(number):
            write_image(root / split / f'{i}.jpg', noise())
        (root / 'annotations' / f'instances_{split}.json').write_text(
            json.dumps(dict(
                categories=categories,
                images=[dict(id=i, file_name=f'{i}.jpg', height=64, width=96)
                        for i in range(number)],
                annotations=[
                    dict(id=i + 1, image_id=i, category_id=3, bbox=box,
                         area=2000., iscrowd=0,
                         segmentation=[[20, 10, 70, 10, 70, 50, 20, 50]])
                    for i in range(number)])))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def ade20k(tmp_path, monkeypatch):
    """Two training images and one to validate on, in ADE20K's folders."""
    root = tmp_path / 'data' / 'ade' / 'ADEChallengeData2016'
    for split, number in (('training', 2), ('validation', 1)):
        for i in range(number):
            write_image(root / 'images' / split / f'{i}.jpg', noise())
            # Class 2 on a quarter of the image, class 6 on the rest.
            labels = np.full((64, 96), 7, np.uint8)
            labels[:32, :48] = 3
            write_image(root / 'annotations' / split / f'{i}.png', labels)
    monkeypatch.chdir(tmp_path)

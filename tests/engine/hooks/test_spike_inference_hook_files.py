"""What metrics write and give beside the hook, of whatever kind they are."""

import copy
import json
import pickle

import pytest
import torch
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.registry import HOOKS, METRICS

from mmsnn.conversion import to_spike_train
from mmsnn.engine import spike_evaluation
from mmsnn.engine.cli import build_runner


@METRICS.register_module()
class WritesWhatItSees(BaseMetric):
    """Writes to a path whose name does not say that it is one, and to one
    whose name does, in each way that metrics do."""

    default_prefix = 'seen'

    def __init__(self, place, save_path, **kwargs):
        super().__init__(**kwargs)
        self.place, self.save_path = place, save_path

    def process(self, data_batch, data_samples):
        self.results += [int(x['pred_label']) for x in data_samples]
        with open(self.place, 'w') as file:
            file.write(str(self.results))

    def compute_metrics(self, results):
        for path in (f'{self.place}.all', self.save_path):
            with open(path, 'w') as file:
                file.write(str(results))
        return dict(
            labels=torch.tensor(results), text=str(results), ones=sum(results),
            odd=object(), table=dict(a=[results, results]))


@pytest.fixture
def other_answers(monkeypatch):
    """A conversion that swaps the two classes: both forms disagree."""

    def swapped(model, *args):
        model = copy.deepcopy(model)
        with torch.no_grad():
            for parameter in model.head.parameters():
                parameter.copy_(parameter.flip(0))
        return to_spike_train(model, *args)

    monkeypatch.setattr(spike_evaluation, 'to_spike_train', swapped)


def test_what_is_written_is_of_the_spike_train_form(
        config, tmp_path, other_answers, caplog):
    config.custom_hooks[0].update(
        proof_batches=0, form='counts', dtype='float64')
    config.test_evaluator = [
        dict(type='Accuracy', topk=(1, )),
        dict(type='mmengine.DumpResults',
             out_file_path=str(tmp_path / 'a.pkl')),
        dict(type='WritesWhatItSees', place=str(tmp_path / 'place'),
             save_path=str(tmp_path / 'seen.txt'))
    ]
    runner = build_runner(config)
    metrics = runner.test()
    spike_train = metrics['seen/labels'].tolist()
    training = [1 - label for label in spike_train]

    dumped = [pickle.loads((tmp_path / name).read_bytes())
              for name in ('a.pkl', 'a_training_form.pkl')]
    assert [[int(x['pred_label']) for x in each] for each in dumped] == [
        spike_train, training]
    texts = {p.name: p.read_text() for p in tmp_path.iterdir()
             if p.is_file() and p.suffix != '.pkl'}
    assert texts == {
        'place': str(spike_train), 'place.all': str(spike_train),
        'seen.txt': str(spike_train), 'seen_training_form.txt': str(training)
    }

    folder = tmp_path / 'work' / 'spike_inference' / 'test'
    found = json.loads((folder / 'metrics.json').read_text())
    assert found['spike_train_form']['seen/labels'] == spike_train
    assert found['training_form']['seen/labels'] == training
    assert found['training_form']['seen/table/a'] == [training, training]
    assert found['difference'] == {
        'accuracy/top1': pytest.approx(
            metrics['accuracy/top1'] -
            found['training_form']['accuracy/top1']),
        'seen/labels': 1., 'seen/text': None, 'seen/odd': None,
        'seen/ones': sum(spike_train) - sum(training), 'seen/table/a': 1.}
    html = (folder / 'report.html').read_text()
    assert 'largest 1, at [0]' in html and 'not compared' in html
    scalars = runner.message_hub.log_scalars
    assert scalars['test/training_form_seen/ones'].current() == sum(training)
    assert 'test/training_form_seen/labels' not in scalars
    log, = (tmp_path / 'work').glob('*/*.log')
    for sentence in ('seen.txt is written in spike-train form, ',
                     'seen/odd: object: no number, table or text'):
        assert sentence in log.read_text()


@HOOKS.register_module()
class SeesOutputs(Hook):
    """What hooks get in front of ours and behind it."""

    def __init__(self):
        self.labels = []

    def after_test_iter(self, runner, batch_idx, data_batch, outputs):
        self.labels += [int(x.pred_label) for x in outputs]


def test_other_hooks_see_the_spike_train_form(
        config, tmp_path, other_answers, monkeypatch):
    from mmpretrain.visualization import UniversalVisualizer
    drawn = []
    monkeypatch.setattr(
        UniversalVisualizer, 'visualize_cls',
        lambda self, image, data_sample, **kwargs: drawn.append(
            int(data_sample.pred_label)))
    config.custom_hooks[0].update(
        proof_batches=0, form='counts', dtype='float64')
    config.custom_hooks += [
        dict(type='SeesOutputs', priority=priority) for priority in (1, 99)]
    config.default_hooks = dict(
        visualization=dict(type='VisualizationHook', enable=True, interval=1))
    config.test_evaluator = dict(
        type='WritesWhatItSees', place=str(tmp_path / 'place'),
        save_path=str(tmp_path / 'seen.txt'))
    runner = build_runner(config)
    labels = runner.test()['seen/labels'].tolist()
    assert len(labels) == 12 and drawn == labels
    hooks = [h for h in runner.hooks if isinstance(h, SeesOutputs)]
    assert [h.labels for h in hooks] == [labels, labels]
    found = json.loads((tmp_path / 'work/spike_inference/test/metrics.json'
                        ).read_text())
    assert found['training_form']['seen/labels'] == [1 - x for x in labels]


@pytest.mark.parametrize('metric', [
    dict(type='SingleLabelMetric', average=None),
    dict(type='ConfusionMatrix'), dict(type='MultiLabelMetric', average=None)])
def test_metrics_of_upstream_that_are_tables(config, tmp_path, metric):
    config.custom_hooks[0].update(
        form='counts', dtype='float64', chips=['cmos45', 'loihi_sanafe'])
    config.val_evaluator = config.test_evaluator = [metric]
    if metric['type'] == 'MultiLabelMetric':
        config.model.head.module = dict(
            type='mmpretrain.MultiLabelLinearClsHead', num_classes=2,
            in_channels=16, loss=dict(
                type='CrossEntropyLoss', use_sigmoid=True))
        config.train_dataloader.dataset.pipeline[-1] = dict(type='PackInputs')
    runner = build_runner(config)
    metrics = runner.test()
    found = json.loads((tmp_path / 'work/spike_inference/test/metrics.json'
                        ).read_text())
    assert found['spike_train_form'] == found['training_form']
    for name, value in metrics.items():
        assert found['spike_train_form'][name] == torch.as_tensor(
            value).tolist()
        assert found['difference'][name] == 0

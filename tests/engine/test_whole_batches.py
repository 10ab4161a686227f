"""The batches of one process, dealt out to several."""

import pytest
import torch.distributed as torch_dist
from mmengine.dataset import DefaultSampler
from mmengine.evaluator import BaseMetric, Evaluator
from processes import run_in_processes
from torch.utils.data import BatchSampler, DataLoader, IterableDataset

from mmsnn.engine.whole_batches import (
    WholeBatches,
    deal_results,
    with_whole_batches,
)


class Kept(BaseMetric):
    """Keeps a result for each sample."""

    def process(self, data_batch, data_samples):
        self.results += data_samples

    def compute_metrics(self, results):
        return dict(results=results)


class Stream(IterableDataset):

    def __iter__(self):
        return iter(range(4))


@pytest.mark.parametrize('number, expected, starts', [
    (1, [[[0, 1], [2, 3], [4]]], [0]),
    (2, [[[0, 1], [2, 3]], [[4]]], [0, 4]),
    (4, [[[0, 1]], [[2, 3]], [[4]], []], [0, 2, 4, 5])])
def test_each_batch_is_somewhere_in_order(number, expected, starts):
    parts = [WholeBatches([[0, 1], [2, 3], [4]], rank, number)
             for rank in range(number)]
    assert parts == expected
    assert [part.start for part in parts] == starts


def collected(workers):
    """Results of all samples, as a metric gets them."""
    torch_dist.init_process_group('gloo')
    loader = with_whole_batches(
        DataLoader(
            range(7), 3, sampler=DefaultSampler(range(7), shuffle=False),
            num_workers=workers, persistent_workers=workers > 0), 'val')
    assert with_whole_batches(loader, 'val') is loader
    evaluator, again = Evaluator(Kept()), []
    for _ in range(2):
        for batch in loader:
            evaluator.process(data_samples=[
                dict(number=x) for x in batch.tolist()])
        deal_results(evaluator, loader.batch_sampler)
        again.append(evaluator.evaluate(7))
    assert again[0] == again[1]
    return again[0]


@pytest.mark.parametrize('processes, workers', [(2, 0), (3, 1)])
def test_metrics_get_results_in_order(tmp_path, processes, workers):
    found = run_in_processes(tmp_path, collected, workers, number=processes)
    expected = dict(results=[dict(number=x) for x in range(7)])
    assert found == [expected] * processes


def refusals():
    torch_dist.init_process_group('gloo')
    sampler = DefaultSampler(range(4), shuffle=False)
    found = []
    for loader in (
            DataLoader(Stream(), 2), DataLoader(range(4), None),
            DataLoader(range(4), batch_sampler=type(
                'Grouped', (BatchSampler, ), {})(sampler, 2, False)),
            DataLoader(range(4), 2, sampler=[0, 1, 1])):
        with pytest.raises(ValueError) as error:
            with_whole_batches(loader, 'val_dataloader')
        found.append(str(error.value))
    return found


def test_what_has_no_such_batches_is_refused(tmp_path):
    for found in run_in_processes(tmp_path, refusals):
        assert [text.split(' does not')[0] for text in found[:3]] == [
            'val_dataloader: Stream', 'val_dataloader: range',
            'val_dataloader: Grouped']
        assert 'val_dataloader.sampler: list repeats samples' in found[3]

"""How wrong firing while input still arrives is, for the report."""

from torch import nn

from mmsnn.conversion import EqualityReport, FreeRunningRun, run_free_running


def measure_free_running(model: nn.Module,
                         batch) -> FreeRunningRun | str:
    """Run one batch free running, and in the lossless form.

    Args:
        model (nn.Module): The trained model.
        batch (dict): What the data loader gave.

    Returns:
        FreeRunningRun | str: What was measured, or why it was not.
    """
    data = model.data_preprocessor(batch, False)
    inputs = data['inputs'] if isinstance(data, dict) else data[0]
    samples = data.get('data_samples') if isinstance(data, dict) else None
    kwargs = {} if samples is None else dict(data_samples=samples)
    try:
        return run_free_running(model, inputs, mode='tensor', **kwargs)
    except ValueError as error:
        return f'not measured: {error}'


def error_in_words(report: EqualityReport) -> str:
    """Say how wrong the free running form was.

    Args:
        report (EqualityReport): Its comparison with the lossless form.

    Returns:
        str: Neurons that fire differently, spikes, and error of the result.
    """
    lossless = sum(r.training_spikes for r in report.rows)
    spikes = sum(r.spike_train_spikes for r in report.rows)
    share = report.total_differences / max(1, report.total_neurons)
    change = spikes / lossless - 1 if lossless else 0.0
    return (f'Measured on {report.images} image: {share:.1%} of the neurons '
            f'fire differently, {change:+.1%} spikes, and what the model '
            f'returns is off by up to {report.output_share:.2g} of its '
            'largest value. The lossless form waits for all input of a layer '
            'before it fires and has no error.')

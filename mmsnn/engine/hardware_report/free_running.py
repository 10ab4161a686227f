"""How wrong it is to fire while input still arrives."""

from torch import nn

from mmsnn.conversion import EqualityCheck, to_spike_train


def free_running_error(model: nn.Module, batch) -> str:
    """Compare it with the training form on one batch.

    Args:
        model (nn.Module): The trained model.
        batch: What the data loader gave.

    Returns:
        str: Neurons that fire differently, spikes and error of the result in
        words; or why it was not measured.
    """
    try:
        check = EqualityCheck(model, to_spike_train(model, 'free_running'))
        data = model.data_preprocessor(batch, False)
        inputs = data['inputs'] if isinstance(data, dict) else data[0]
        samples = data.get('data_samples') if isinstance(data, dict) else None
        kwargs = dict(mode='tensor')
        if samples is not None:
            kwargs['data_samples'] = samples
        check.compare(inputs, **kwargs)
    except ValueError as error:
        return f'not measured: {error}'
    report = check.report
    lossless = sum(r.training_spikes for r in report.rows)
    spikes = sum(r.spike_train_spikes for r in report.rows)
    share = report.total_differences / max(1, report.total_neurons)
    change = spikes / lossless - 1 if lossless else 0.0
    return (f'Measured on {report.images} image: {share:.1%} of the neurons '
            f'fire differently, {change:+.1%} spikes, and what the model '
            f'returns is off by up to {report.output_error:.2g} of its '
            'largest value. The lossless form waits for all input of a layer '
            'before it fires and has no error.')

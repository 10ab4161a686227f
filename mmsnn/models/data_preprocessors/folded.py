"""Frames of events through preprocessors that are made for images."""

import torch


class FoldedFrames:
    """Lets a preprocessor of images take frames; mixed in before it.

    Upstream's preprocessors know images, (C, H, W), and pad, cut and mix the
    wrong sides of frames, (T, C, H, W). For them, all channels of all time
    steps become the channels of one image, (T * C, H, W), and get their time
    back afterwards.
    """

    def forward(self, data: dict, training: bool = False) -> dict:
        """Prepare a batch.

        Args:
            data (dict): ``inputs``: frames, (N, T, C, H, W), or a sequence of
                (T, C, H, W) with one T and one C; ``data_samples`` as
                upstream.
            training (bool): Whether to augment. Defaults to False.

        Returns:
            dict: ``inputs``, (N, T, C, H', W'), and ``data_samples``.

        Raises:
            ValueError: ``inputs`` are no such frames; the message has their
                shapes.
        """
        frames = data['inputs']
        kinds = {tuple(x.shape[:-2]) for x in frames if x.dim() == 4}
        if len(kinds) != 1 or any(x.dim() != 4 for x in frames):
            raise ValueError(
                f'{type(self).__name__} takes frames (T, C, H, W) with one T '
                'and one C in a batch, as PackEventInputs makes them, but got '
                f'{", ".join(sorted({str(tuple(x.shape)) for x in frames}))}')
        if isinstance(frames, torch.Tensor):
            folded = frames.flatten(1, 2)
        else:
            folded = [x.flatten(0, 1) for x in frames]
        out = super().forward(dict(data, inputs=folded), training)
        return dict(out, inputs=out['inputs'].unflatten(1, *kinds))

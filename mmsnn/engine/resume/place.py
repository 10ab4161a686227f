"""Where a run is in its data."""

from dataclasses import asdict, dataclass


@dataclass
class LoaderPlace:
    """Where a run is in its data; plain data, for checkpoints.

    Attributes:
        passes (int): Passes over the data that were begun.
        taken (int): Batches that were taken in the last of them.
        digest (int): CRC-32 of their indices.
        fresh (bool): Whether that pass began with new workers.
        start (dict): Random states of the process when the pass began.
        samplers (list[dict]): Seed and epoch of the samplers.
        worker_seed (int, optional): Seed that workers begin with.
        workers (list): Random states of each worker behind the last batch of
            it that was taken; None for workers none was taken of.
        settings (dict): What has to be the same where the run goes on.
        kept (list[str]): Transforms' attributes that hold data of earlier
            samples.
    """

    passes: int
    taken: int
    digest: int
    fresh: bool
    start: dict
    samplers: list
    worker_seed: int | None
    workers: list
    settings: dict
    kept: list

    def state_dict(self) -> dict:
        """The place as plain data: the keyword arguments that make it."""
        return asdict(self)

"""AEDAT 4.0, read by faery."""

from collections.abc import Iterator

import numpy as np

from mmsnn.datasets.events.array import make_events

from .reader import EventReader, need

_MAGIC = b'#!AER-DAT4.0\r\n'


class AEDAT4Reader(EventReader):
    """Reads the first stream of events, packet by packet."""

    def _open(self) -> None:
        """Check the version, and find the first stream of events."""
        with open(self.path, 'rb') as file:
            magic = file.read(len(_MAGIC))
        if magic != _MAGIC:
            raise self.faults.error('no AEDAT 4.0 recording: it must begin '
                                    f'with {_MAGIC!r}, got {magic!r}')
        self.aedat = need('faery.extension', 'AEDAT 4.0', self.path).aedat
        with self._decoder() as decoder:
            tracks = [
                track for track in decoder.tracks()
                if track.data_type == 'events'
            ]
        if not tracks:
            raise self.faults.error('it has no stream of events')
        self.track = tracks[0].id
        self.size = tracks[0].dimensions

    def _decoder(self):
        try:
            return self.aedat.Decoder(self.path)
        except BaseException as error:
            raise self.faults.error(
                f'its header cannot be read: {_told(error)}') from None

    def chunks(self,
               start: int | None) -> Iterator[tuple[int, np.ndarray]]:
        """Yield all events, packet by packet."""
        first = 0
        with self._decoder() as decoder:
            packets = iter(decoder)
            while True:
                try:
                    track, packet = next(packets)
                except StopIteration:
                    return
                except BaseException as error:
                    self.faults.found(
                        'cut off or damaged', f'the packet after event '
                        f'{first - 1}: {_told(error)}')
                    return
                if track.id == self.track and len(packet):
                    yield first, make_events(packet['t'], packet['x'],
                                             packet['y'], packet['on'])
                    first += len(packet)


def _told(error: BaseException) -> str:
    """What faery says about a file; anything else is raised again.

    Its panics are no ``Exception``.
    """
    if isinstance(error, RuntimeError) or (
            type(error).__name__ == 'PanicException'):
        return str(error).strip()
    raise error

"""mmdet's COCO data set on recordings. This module needs mmdet."""

from mmdet.datasets import CocoDataset

from mmsnn.datasets.events.faults import quoted


class EventCocoDataset(CocoDataset):
    """mmdet's COCO data set, whose images are windows of recordings.

    An image in the annotation file has ``events_start`` and ``events_stop``
    (us) too, and ``file_name`` is its recording. Samples get the keys of
    :class:`mmsnn.datasets.transforms.LoadEvents`.
    """

    def parse_data_info(self, raw_data_info: dict) -> dict:
        """Add recording and window to what an image has.

        Args:
            raw_data_info (dict): The image and its annotations, as mmdet has
                read them: ``raw_img_info`` and ``raw_ann_info``.

        Returns:
            dict: The sample, with ``events_path``, ``events_start``,
            ``events_stop`` (us) and ``sensor_size`` (width and height).

        Raises:
            ValueError: The image has no window of time, or no size in whole
                pixels; the message names it.
        """
        info = super().parse_data_info(raw_data_info)
        image = raw_data_info['raw_img_info']
        window = image.get('events_start'), image.get('events_stop')
        size = image['width'], image['height']
        if any(type(n) is not int for n in (*window, *size)) or not (
                -1 << 63 <= window[0] < window[1] < 1 << 63):
            raise ValueError(
                f'{self.ann_file}: image {image["id"]} must have events_start '
                'and events_stop, whole us, the start before the end, and '
                'width and height in whole pixels, but has '
                f'{", ".join(map(quoted, (*window, *size)))}')
        info.update(
            events_path=info['img_path'],
            events_start=window[0],
            events_stop=window[1],
            sensor_size=size)
        return info

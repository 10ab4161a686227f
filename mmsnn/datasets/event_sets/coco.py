"""mmdet's COCO data set on recordings. This module needs mmdet."""

from mmdet.datasets import CocoDataset


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
            ValueError: The image has no window; the message names it.
        """
        info = super().parse_data_info(raw_data_info)
        image = raw_data_info['raw_img_info']
        lost = [key for key in ('events_start', 'events_stop')
                if key not in image]
        if lost:
            raise ValueError(
                f'{self.ann_file}: image {image["id"]} has no '
                f'{", ".join(lost)}; event detection needs them')
        info.update(
            events_path=info['img_path'],
            events_start=image['events_start'],
            events_stop=image['events_stop'],
            sensor_size=(image['width'], image['height']))
        return info

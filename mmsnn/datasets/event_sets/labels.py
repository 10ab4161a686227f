"""Files that say which label a recording has."""

from pathlib import Path

from mmsnn.datasets.events.faults import Faults
from mmsnn.datasets.events.formats.reader import check_regular


def label_lines(path: Path) -> list[str]:
    r"""The lines of a file of labels.

    Args:
        path (Path): The file, in UTF-8.

    Returns:
        list[str]: The lines, without line ends.

    Raises:
        EventFileError: It is no file, or no text.
        FileNotFoundError: There is no such file.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / 'train_label.txt'
        >>> _ = path.write_text('action_001/one 0\naction_003/two 2')
        >>> label_lines(path)
        ['action_001/one 0', 'action_003/two 2']
    """
    faults = Faults(path, 'raise')
    check_regular(path, faults)
    try:
        with faults.named():
            # Spreadsheets put a mark of three bytes in front.
            return path.read_text('utf-8-sig').splitlines()
    except UnicodeDecodeError as error:
        raise faults.error('labels must be text in UTF-8, but byte '
                           f'{error.start} is none') from None

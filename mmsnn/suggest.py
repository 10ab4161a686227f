"""What somebody who misspelt a name may have meant."""

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(name: str, names: Iterable[str], scope: str = '') -> str:
    """A question to put behind an unknown name in an error message.

    Args:
        name (str): The unknown name.
        names (Iterable[str]): The valid names.
        scope (str): Put before the name that is suggested, such as
            ``'mmsnn.'``. Defaults to nothing.

    Returns:
        str: The nearest of the valid names in a question, in parentheses,
        after a space; empty if none is near. Case does not count.

    Example:
        >>> chips = ['cmos45', 'loihi', 'spinnaker2']
        >>> print(f"no chip 'Loihi2'{did_you_mean('Loihi2', chips)}: ...")
        no chip 'Loihi2' (did you mean 'loihi'?): ...
        >>> did_you_mean('tpu', chips)
        ''
    """
    written = {valid.lower(): valid for valid in names}
    near = get_close_matches(name.lower(), written, n=1)
    return f' (did you mean {scope + written[near[0]]!r}?)' if near else ''

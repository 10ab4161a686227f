"""The option ``--cfg-options`` of the command-line tools."""

import argparse
from collections.abc import Sequence

from mmengine.config import DictAction


class CfgOptions(DictAction):
    """mmengine's action for ``KEY=VALUE``, which says what it can not read.

    Raises:
        argparse.ArgumentError: A word is not ``KEY=VALUE``, its brackets do
            not match, or the value holds a ``dict(...)``, which would be
            taken for a string.

    Example:
        >>> parser = argparse.ArgumentParser(exit_on_error=False)
        >>> _ = parser.add_argument('--cfg-options', nargs='+',
        ...                         action=CfgOptions)
        >>> parser.parse_args(['--cfg-options', 'a.b=[1,c]']).cfg_options
        {'a.b': [1, 'c']}
    """

    def __call__(self, parser: argparse.ArgumentParser,
                 namespace: argparse.Namespace, values: Sequence[str],
                 option_string: str | None = None) -> None:
        """Add what is given to the options.

        Args:
            parser (ArgumentParser): Whose option it is.
            namespace (Namespace): Gets them, by key.
            values (Sequence[str]): ``KEY=VALUE`` each.
            option_string (str, optional): As the option was written.
        """
        for value in values:
            try:
                if 'dict(' in value:
                    raise ValueError
                super().__call__(parser, namespace, [value], option_string)
            except (AssertionError, RecursionError, ValueError) as error:
                raise argparse.ArgumentError(
                    self, f'{value} must be KEY=VALUE with a number, a word, '
                    'True, False, None, or a list [...] or tuple (...) of '
                    'these; parts of a dict are given one by one, as '
                    'KEY.PART=VALUE') from error

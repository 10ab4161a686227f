"""Compare what two runs of a report wrote, value by value.

Takes two JSON files (hardware.json, trace.json, energy.json, estimate.json)
and lists what differs; exit 1 if something does. Provenance and the folders
of chip specs are left out.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

#: What says when and where a run was made.
LEFT_OUT = ('provenance', )


def leaves(value: Any, path: str = '') -> Iterator[tuple[str, Any]]:
    """Path and value of all numbers and texts in nested dicts and lists."""
    if isinstance(value, dict):
        for key, part in value.items():
            if path or key not in LEFT_OUT:
                yield from leaves(part, f'{path}.{key}')
    elif isinstance(value, list):
        yield f'{path} (length)', len(value)
        for i, part in enumerate(value):
            yield from leaves(part, f'{path}[{i}]')
    else:
        if isinstance(value, str):
            value = re.sub(r'\S*/(?=\w+\.ya?ml)', '', value)
        yield path, value


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('files', nargs=2, type=Path, help='JSON files')
    first, second = (dict(leaves(json.loads(path.read_text())))
                     for path in parser.parse_args().files)
    differing = [path for path in {**first, **second}
                 if path not in first or path not in second
                 or first[path] != second[path]]
    for path in differing[:20]:
        print(f'{path}: {first.get(path, "absent")} | '
              f'{second.get(path, "absent")}')
    print(f'{len(differing)} of {len({**first, **second})} values differ')
    sys.exit(bool(differing))


if __name__ == '__main__':
    main()

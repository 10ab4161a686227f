"""The page of a report: one self-contained HTML file, with its pictures as
PNG beside it."""

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib.figure import Figure
from PIL import Image

from mmsnn.files import write_whole
from mmsnn.hardware.amounts import Amount, scaled
from mmsnn.hardware.plots.style import Picture

from . import facts
from .metrics import figure_text

#: What a reader needs to repeat a run; a report names those that it lacks.
PROVENANCE = ('date', 'versions', 'machine', 'command', 'seed', 'checkpoint')

#: A plot has fewer colours, a photograph has more.
MOST_COLOURS = 16384


def write_page(path: str | Path, template: str, report: Any,
               pictures: Mapping[str, Sequence[Picture]],
               **values: Any) -> list[Path]:
    """Render a template as self-contained HTML, and write the pictures as PNG
    beside it in the same folder. Each file is written whole or not at all, the
    HTML last.

    Args:
        path (str | Path): HTML file to write; its folder is made.
        template (str): File name of a Jinja template in this folder.
        report (Any): What the template shows as ``report``; its
            ``provenance`` is shown by name, also what it lacks.
        pictures (Mapping[str, Sequence[Picture]]): Name of a group, as the
            template shows it -> (file name, figure, caption) of its pictures.
        **values: What else the template shows, by name.

    Returns:
        list[Path]: The files written, the HTML file first.

    Raises:
        ValueError: If ``path`` is no .html file, or if a picture has no
            plain .png name or the name of another.
    """
    path = Path(path)
    if path.suffix != '.html':
        raise ValueError(f'a report is an .html file, got {path}')
    _check_names([name for group in pictures.values() for name, *_ in group])
    files = {name: _png(figure) for group in pictures.values()
             for name, figure, _ in group}
    shown = {
        group: [
            dict(name=name, caption=caption,
                 data=base64.b64encode(files[name]).decode())
            for name, _, caption in plots
        ]
        for group, plots in pictures.items()
    }
    html = _environment().get_template(template).render(
        report=report, pictures=shown,
        provenance=_provenance_rows(report.provenance), **values)
    for name, data in files.items():
        write_whole(path.with_name(name), data)
    write_whole(path, html)
    return [path, *map(path.with_name, files)]


def _environment() -> Environment:
    """Where templates are found, and how they write numbers."""
    found = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined)
    found.filters.update(
        count=facts.count,
        arithmetic=facts.arithmetic,
        figure=figure_text,
        amount=_amount_text)
    return found


def _check_names(names: list[str]) -> None:
    for name in names:
        if Path(name).name != name or not name.endswith('.png'):
            raise ValueError(f'a picture has a plain .png name, got {name!r}')
        if names.count(name) > 1:
            raise ValueError(f'two pictures are called {name}')


def _png(figure: Figure) -> bytes:
    """A figure as PNG. Plots, unlike photographs, get a palette of their own,
    which takes a third of the space."""
    drawn, small = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format='png', dpi=120)
    with Image.open(drawn) as image:
        colours = image.convert('RGB')
    if not colours.getcolors(MOST_COLOURS):
        return drawn.getvalue()
    colours.quantize(256).save(small, 'png', optimize=True)
    return small.getvalue()


def _amount_text(value: Amount, spec: str = '.4g', factor: float = 1) -> str:
    """A number or a range, times a factor."""
    return format(scaled(value, factor), spec)


def _provenance_rows(given: Mapping[str, Any]) -> dict[str, str | None]:
    """Texts by name; None for what is not recorded of :data:`PROVENANCE`."""
    texts = {}
    for name in dict.fromkeys([*PROVENANCE, *given]):
        value = given.get(name)
        if isinstance(value, Mapping):
            value = ', '.join(f'{k} {v}' for k, v in value.items())
        texts[name] = None if value in (None, '') else str(value)
    return texts

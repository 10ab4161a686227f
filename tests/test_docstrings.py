"""Every public callable says what it takes, in Google's style."""

import importlib
import inspect
import pkgutil
import re

import pytest

import mmsnn

MODULES = [m.name for m in pkgutil.walk_packages(mmsnn.__path__, 'mmsnn.')
           if '._' not in m.name]


def documented(docstring: str) -> set[str]:
    """Names in the sections of arguments, attributes and fields."""
    found = set()
    for section in re.findall(
            r'^(?:Args|Attributes):\n((?:[ \t]+.*\n|\n)*)', docstring + '\n',
            re.MULTILINE):
        found |= set(re.findall(r'^    \*{0,2}(\w+)(?: \(|:)', section,
                                re.MULTILINE))
    return found


def parameters(function) -> set[str]:
    try:
        names = set(inspect.signature(function).parameters)
    except ValueError:  # compiled
        return set()
    return {n for n in names if not n.startswith('_')} - {'self', 'cls'}


def public_members(module):
    """Functions, classes and their own methods, defined here."""
    for name, member in vars(module).items():
        if name.startswith('_') or getattr(member, '__module__',
                                           '') != module.__name__:
            continue
        if inspect.isclass(member):
            yield name, member, member.__init__
            for method, function in vars(member).items():
                inherited = any(method in vars(base)
                                for base in member.__mro__[1:])
                if not method.startswith('_') and not inherited and (
                        inspect.isfunction(function)
                        or isinstance(function, (classmethod, staticmethod))):
                    function = inspect.unwrap(
                        getattr(function, '__func__', function))
                    yield f'{name}.{method}', function, function
        elif inspect.isfunction(member):
            member = inspect.unwrap(member)
            yield name, member, member


@pytest.mark.parametrize('name', MODULES)
def test_public_callables_name_their_arguments(name):
    module = importlib.import_module(name)
    lacking = []
    for path, member, function in public_members(module):
        text = inspect.getdoc(member) or ''
        if not text:
            lacking.append(f'{path} has no docstring')
            continue
        own = function is member or '__init__' in vars(member)
        missing = (parameters(function) if own else set()) - documented(text)
        if missing:
            lacking.append(f'{path} does not describe '
                           f'{", ".join(sorted(missing))}')
    assert not lacking

"""Reading the ``arch`` key of a backbone."""



def read_arch(arch: str | dict, zoo: dict[str, dict],
              families: dict[str, dict]) -> dict:
    """Complete and check the ``arch`` of a backbone.

    Args:
        arch (str | dict): A name of the zoo, or a dict with ``embed_dims``
            and optional keys.
        zoo (dict[str, dict]): Named archs.
        families (dict[str, dict]): For each family, the optional keys with
            their defaults. ``depths`` among them tells the number of stages;
            ``embed_dims`` has one number less. Where there are several, the
            arch may have the key ``family``; the first is the default.

    Returns:
        dict: ``family``, ``embed_dims`` and all optional keys.

    Raises:
        ValueError: If a key is unknown, missing or out of range; the message
            names it and what is valid.
    """
    if isinstance(arch, str):
        if arch not in zoo:
            keys = ['embed_dims', *next(iter(families.values()))]
            raise ValueError(
                f'arch {arch!r} is unknown: choose from {", ".join(zoo)}, or '
                f'give a dict with the keys {", ".join(keys)}')
        arch = zoo[arch]
    elif not isinstance(arch, dict):
        raise ValueError(f'arch must be a name or a dict, but is {arch!r}')
    arch = dict(arch)
    family = next(iter(families))
    if len(families) > 1:
        family = arch.pop('family', family)
        if family not in families:
            raise ValueError(f'arch.family must be one of '
                             f'{", ".join(families)}, but is {family!r}')
    defaults = families[family]
    unknown = set(arch) - {'embed_dims', *defaults}
    if unknown or 'embed_dims' not in arch:
        raise ValueError(
            'an arch dict has the key embed_dims and optionally '
            f'{", ".join(defaults)}, but has {sorted(arch)}')
    arch = {'family': family, **defaults, **arch}
    stages = len(defaults['depths'])
    for key, number, least in (('embed_dims', stages - 1, 2),
                               ('depths', stages, 0)):
        arch[key] = _integers(f'arch.{key}', arch[key], number, least)
    _check_heads(arch)
    pair = arch.get('linear_pair', False)
    if not isinstance(pair, bool):
        raise ValueError('arch.linear_pair must be True or False, '
                         f'but is {pair!r}')
    return arch


def _integers(name: str, values, number: int, least: int) -> tuple:
    if not isinstance(values, (list, tuple)) or len(values) != number or any(
            not isinstance(v, int) or v < least for v in values):
        raise ValueError(f'{name} must be {number} integers of at least '
                         f'{least}, but is {values!r}')
    return tuple(values)


def _check_heads(arch: dict) -> None:
    heads = arch['num_heads']
    if not isinstance(heads, int) or isinstance(heads, bool) or heads < 1:
        raise ValueError('arch.num_heads must be a positive integer, '
                         f'but is {heads!r}')
    for i, width in enumerate(arch['embed_dims']):
        # Stage 0 has half the first width; stages from 3 on have attention.
        if i >= 2 and arch['depths'][i + 1] and width % heads:
            raise ValueError(f'arch.num_heads = {heads} does not divide '
                             f'arch.embed_dims[{i}] = {width}')

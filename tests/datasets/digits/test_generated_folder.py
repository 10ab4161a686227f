"""Folders of generated files: whole, absent, or a clear error."""

import json

import pytest

from mmsnn.datasets.digits.generated_folder import (
    MANIFEST,
    UNFINISHED,
    FolderCacheError,
    digest_folder,
    ensure_folder,
)

# sha256 over 'a.txt', NUL, sha256('a'), newline and 'sub/b.txt', NUL,
# sha256('b'), newline, worked out with sha256sum.
DIGEST = ('3a61eb8dfcb40ca14f6db294a2931082'
          '79abbc11c167c2f59058cca2053dff7e')


class Writer:
    """Writes two files and counts its calls."""

    def __init__(self, fail=False):
        self.calls = 0
        self.fail = fail

    def __call__(self, folder):
        self.calls += 1
        (folder / 'sub').mkdir()
        (folder / 'a.txt').write_text('a')
        if self.fail:
            raise KeyboardInterrupt
        (folder / 'sub' / 'b.txt').write_text('b')


def ensure(root, write, version=1, overwrite=False, **parameters):
    return ensure_folder(root, 'letters', version, parameters, write,
                         'Run the generator again.', overwrite)


def test_written_once_and_then_reused(tmp_path):
    write = Writer()
    for _ in range(2):
        assert ensure(tmp_path / 'x' / 'out', write, n=2) == (
            tmp_path / 'x' / 'out')
    assert write.calls == 1
    manifest = json.loads((tmp_path / 'x' / 'out' / MANIFEST).read_text())
    digest = manifest.pop('digest')
    assert manifest == dict(
        kind='letters', version=1, parameters=dict(n=2), files=2)
    assert digest == DIGEST
    names = sorted(p.name for p in (tmp_path / 'x').iterdir())
    assert names == ['out', 'out.lock']


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / 'out').mkdir()
    ensure(tmp_path / 'out', Writer())
    assert digest_folder(tmp_path / 'out')[0] == 2


@pytest.mark.parametrize('version, parameters, words', [
    (2, dict(n=2), 'version is 1 there and 2 is asked for'),
    (1, dict(n=3), 'n is 2 there and 3 is asked for'),
    (1, dict(n=2, m=0), 'm is None there and 0 is asked for'),
])
def test_other_contents_are_refused(tmp_path, version, parameters, words):
    ensure(tmp_path / 'out', Writer(), n=2)
    with pytest.raises(FolderCacheError) as error:
        ensure(tmp_path / 'out', Writer(), version, **parameters)
    assert str(error.value) == (f'{tmp_path}/out cannot be used as letters: '
                                f'{words}. Run the generator again.')


@pytest.mark.parametrize('damage, words', [
    (lambda root: (root / 'a.txt').unlink(), '1 files where'),
    (lambda root: (root / 'new').touch(), '3 files where'),
    (lambda root: (root / 'a.txt').write_text('x'), 'differ from the digest'),
    (lambda root: (root / MANIFEST).write_text('{"kind": "let'),
     'manifest.json is damaged'),
    (lambda root: (root / MANIFEST).write_bytes(b'\xff'),
     'manifest.json is damaged'),
    (lambda root: (root / MANIFEST).write_text('[]'), 'exactly the keys'),
    (lambda root: (root / MANIFEST).unlink(), 'it has no manifest.json'),
])
def test_damage_is_refused_by_name(tmp_path, damage, words):
    root = tmp_path / 'out'
    ensure(root, Writer())
    damage(root)
    write = Writer()
    with pytest.raises(FolderCacheError, match=words) as error:
        ensure(root, write)
    assert str(root) in str(error.value)
    assert str(error.value).endswith('Run the generator again.')
    assert write.calls == 0


def test_an_interrupted_run_can_be_repeated(tmp_path):
    root = tmp_path / 'out'
    with pytest.raises(KeyboardInterrupt):
        ensure(root, Writer(fail=True))
    assert not root.exists()
    assert (tmp_path / 'out.partial' / UNFINISHED).exists()
    ensure(root, Writer())
    assert digest_folder(root)[0] == 2
    assert not (tmp_path / 'out.partial').exists()


def test_foreign_folders_are_left_alone(tmp_path):
    (tmp_path / 'out.partial').mkdir()
    (tmp_path / 'out.partial' / 'mine').touch()
    with pytest.raises(FolderCacheError, match='in the way'):
        ensure(tmp_path / 'out', Writer())
    (tmp_path / 'mine').mkdir()
    (tmp_path / 'mine' / 'letter').touch()
    with pytest.raises(FolderCacheError, match='not overwritten'):
        ensure(tmp_path / 'mine', Writer(), overwrite=True)
    (tmp_path / 'file').touch()
    with pytest.raises(NotADirectoryError, match='is a file'):
        ensure(tmp_path / 'file', Writer())
    assert (tmp_path / 'out.partial' / 'mine').exists()
    assert (tmp_path / 'mine' / 'letter').exists()


def test_overwrite_replaces_what_was_generated(tmp_path):
    root = tmp_path / 'out'
    ensure(root, Writer(), n=2)
    (root / MANIFEST).write_text('damaged')
    (root / 'old').touch()
    ensure(root, Writer(), overwrite=True, n=3)
    assert not (root / 'old').exists()
    ensure(root, Writer(), n=3)
    assert sorted(p.name for p in tmp_path.iterdir()) == ['out', 'out.lock']

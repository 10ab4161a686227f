"""tools/dataset_converters/digit_scenes.py"""

import json


def test_generates_and_regenerates(run, tmp_path):
    small = ['--train', '2', '--val', '1', '--size', '32', '--digit-height',
             '16', '24']
    tool = 'dataset_converters/digit_scenes.py'
    run(tool, 'scenes', *small)
    manifest = json.loads((tmp_path / 'scenes/manifest.json').read_text())
    assert manifest['parameters']['digit_height'] == [16, 24]
    (tmp_path / 'scenes/images/training/000001.png').unlink()
    log = run(tool, 'scenes', *small, check=False)
    assert 'scenes cannot be used as digit scenes' in log.splitlines()[-1]
    run(tool, 'scenes', *small, '--overwrite')
    assert manifest == json.loads(
        (tmp_path / 'scenes/manifest.json').read_text())

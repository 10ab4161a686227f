import json
import subprocess
import sys
from pathlib import Path

TOOL = (Path(__file__).parents[2] / 'tools' / 'analysis_tools' /
        'compare_reports.py')


def compare(tmp_path, *contents):
    paths = []
    for i, content in enumerate(contents):
        paths.append(tmp_path / f'{i}.json')
        paths[i].write_text(json.dumps(content))
    return subprocess.run([sys.executable, TOOL, *paths],
                          capture_output=True, text=True)


def test_where_and_when_a_run_was_made_does_not_count(tmp_path):
    one = dict(provenance=dict(date=1), chips=[
        dict(mj=0.5, why='null in chip spec /a/b/speck.yaml (disagree)')])
    two = dict(provenance=dict(date=2), chips=[
        dict(mj=0.5, why='null in chip spec /c/speck.yaml (disagree)')])
    done = compare(tmp_path, one, two)
    assert (done.returncode, done.stdout) == (0, '0 of 3 values differ\n')


def test_each_value_that_differs_is_named(tmp_path):
    done = compare(tmp_path, dict(a=[1, 2.0], b='x'), dict(a=[1, 2.5]))
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        '.a[1]: 2.0 | 2.5', '.b: x | absent', '2 of 4 values differ']

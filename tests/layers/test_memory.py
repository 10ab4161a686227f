"""Freed memory is kept where the C library can do it."""

import platform
import subprocess
import sys

import pytest

# A block of 64 MB is allocated and freed; are its pages still the process's?
SCRIPT = '''
import sys
from pathlib import Path
import torch
from mmsnn.layers import keep_freed_memory

def resident():
    lines = Path('/proc/self/status').read_text().splitlines()
    return next(int(x.split()[1]) for x in lines if x.startswith('VmRSS'))

if sys.argv[1] == 'keep':
    assert keep_freed_memory()
block = torch.ones(16, 1024, 1024)
full = resident()
del block
print(full - resident())
'''


@pytest.mark.skipif(platform.libc_ver()[0] != 'glibc', reason='needs glibc')
@pytest.mark.parametrize('how', ['keep', 'give back'])
def test_freed_blocks_stay(how):
    done = subprocess.run([sys.executable, '-c', SCRIPT, how],
                          capture_output=True, text=True, check=True)
    given_back = int(done.stdout)  # kB
    assert given_back < 8 * 1024 if how == 'keep' else given_back > 56 * 1024

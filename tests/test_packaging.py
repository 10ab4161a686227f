"""The package as users meet it: pins, model zoo, wheel, light imports."""

import ast
import copy
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections import defaultdict
from importlib.metadata import distributions
from pathlib import Path

import pytest
import torch
import yaml
from mmengine.config import Config
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import mmsnn

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']
INDEX = yaml.safe_load((ROOT / 'model-index.yml').read_text())
METAFILES = {p: yaml.safe_load((ROOT / p).read_text())
             for p in INDEX['Import']}
MODELS = [m for meta in METAFILES.values() for m in meta['Models']]
# Parameters of the published models with their 1000-class head.
PUBLISHED = {
    'espikeformer-2.7m_sfa4_8xb256-200e_in1k': 2_702_048,
    'espikeformer-5m_sfa4_8xb256-200e_in1k': 5_105_608,
    'espikeformer-10m_sfa4_8xb256-200e_in1k': 10_023_112,
    'espikeformer-19m_sfa4_8xb256-200e_in1k': 18_987_504,
    'espikeformer-83m_sfa4_8xb128-150e_in1k': 82_502_952,
    'espikeformer-173m_sfa4_8xb128-150e_in1k': 170_971_714,
    'metaspikeformer-15m_lif-t4_8xb64-accum4-200e_in1k': 15_112_208,
    'metaspikeformer-31m_lif-t4_8xb64-accum4-200e_in1k': 31_333_864,
    'metaspikeformer-55m_lif-t4_8xb64-accum4-200e_in1k': 55_350_248,
}

# Any classifier with the classes of ImageNet.
TEACHER = dict(
    _delete_=True,
    type='ImageClassifier',
    backbone=dict(type='MobileNetV2'),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=1000, in_channels=1280))


def run_python(code: str, *args: str) -> str:
    """What ``code`` prints in a fresh interpreter outside the checkout."""
    code = f'import sys; sys.path.insert(0, {str(ROOT)!r})\n{code}'
    done = subprocess.run([sys.executable, '-c', code, *args],
                          capture_output=True, text=True, cwd='/')
    assert done.returncode == 0, done.stderr
    return done.stdout


#: Extras that are not in the environment, so that nothing pins them: for
#: cross-checks, whose tests are skipped without.
CROSS_CHECKS = ('sanafe', 'oracles')


def requirements(extras=None) -> list:
    """Everything that pyproject.toml asks for, with all extras but
    :data:`CROSS_CHECKS`, or these extras only."""
    optional = PROJECT['optional-dependencies']
    texts = PROJECT['dependencies'] if extras is None else []
    for extra in extras or set(optional) - set(CROSS_CHECKS):
        texts = texts + optional[extra]
    return [r for r in map(Requirement, texts) if r.name != PROJECT['name']]


def pins() -> dict:
    """Distribution name to pinned version, from constraints.txt."""
    lines = (ROOT / 'constraints.txt').read_text().splitlines()
    lines = [line for line in lines if line and not line.startswith('#')]
    table = dict(line.split('==') for line in lines)
    assert len(table) == len(lines), 'a name is pinned twice'
    return table


class TestPins:

    def test_every_requirement_is_pinned_within_its_range(self):
        table = pins()
        for need in requirements():
            version = table[canonicalize_name(need.name)]
            assert need.specifier.contains(version), need

    def test_every_pin_is_one_exact_version(self):
        for name, version in pins().items():
            assert name == canonicalize_name(name)
            assert re.fullmatch(r'\d+(\.\d+)*(\.post\d+)?', version), name

    def test_both_opencv_builds_are_the_same(self):
        table = pins()
        assert table['opencv-python'] == table['opencv-python-headless']

    def test_what_the_package_imports_is_required(self):
        imported = set()
        for path in (ROOT / 'mmsnn').rglob('*.py'):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Import):
                    imported |= {a.name.split('.')[0] for a in node.names}
                elif isinstance(node, ast.ImportFrom) and not node.level:
                    imported.add(node.module.split('.')[0])
        imported -= set(sys.stdlib_module_names) | {'mmsnn'}
        required = {canonicalize_name(r.name) for r in requirements()}
        # Not packages_distributions(): Python 3.10's sees some only.
        owners = defaultdict(set)
        for distribution in distributions():
            for file in distribution.files or ():
                owners[file.parts[0].removesuffix('.py')].add(
                    canonicalize_name(distribution.name))
        assert 'torch' in imported
        # Modules of extras that may not be installed have their names.
        imported -= {r.name for r in requirements(CROSS_CHECKS)}
        for module in imported:
            assert required & owners[module], (
                f'mmsnn imports {module}, pyproject.toml does not ask for it')


class TestModelZoo:

    def test_mim_finds_each_config_of_a_checkout_once(self):
        # As mim does: by file name, in the whole root, links included.
        found = [name for folder in ('configs', 'mmsnn', 'tools', 'tests')
                 for _, _, names in os.walk(ROOT / folder, followlinks=True)
                 for name in names]
        for model in MODELS:
            assert found.count(Path(model['Config']).name) == 1

    def test_every_config_is_in_one_metafile(self):
        listed = [m['Config'] for m in MODELS]
        folders = [p for p in (ROOT / 'configs').iterdir()
                   if p.is_dir() and p.name != '_base_']
        files = [str(p.relative_to(ROOT)) for folder in folders
                 for p in folder.glob('*.py')]
        assert sorted(listed) == sorted(files)
        assert sorted(METAFILES) == sorted(
            f'configs/{p.name}/metafile.yml' for p in folders)

    @pytest.mark.parametrize('metafile', METAFILES)
    def test_metafile(self, metafile):
        meta = METAFILES[metafile]
        collections = {c['Name'] for c in meta['Collections']}
        for collection in meta['Collections']:
            assert (ROOT / collection['README']).is_file()
        for model in meta['Models']:
            # mim looks names up in lower case, as the stem of the config.
            assert model['Name'] == Path(model['Config']).stem.lower()
            assert model['In Collection'] in collections
            for result in model['Results']:
                assert result['Task'] and result['Dataset']
                for metric in result['Metrics']:
                    assert metric.split()[0] in ('Reported', 'Measured'), (
                        f'{model["Name"]}: say whose figure {metric!r} is')
            # Weights only where they can be had.
            assert model.get('Weights', 'https://').startswith('https://')

    def test_parameters_of_the_published_models(self):
        stated = {m['Name']: m['Metadata']['Parameters'] for m in MODELS
                  if m['Name'] in PUBLISHED}
        assert stated == PUBLISHED

    def test_hub_builds_our_models_and_states_their_size(self):
        from mmpretrain import get_model, list_models
        names = list_models('*spikeformer*', task='Image Classification')
        assert set(PUBLISHED) <= set(names)
        for name in names:
            # Without memory, and without a teacher that downloads weights.
            kwargs = dict(teacher=TEACHER) if 'distill' in name else {}
            with torch.device('meta'):
                model = get_model(name, **copy.deepcopy(kwargs))
            assert model._metainfo.metadata.parameters == sum(
                p.numel() for p in model.parameters()), name

    def test_inferencer_takes_a_model_by_name(self):
        import numpy as np
        from mmpretrain import ImageClassificationInferencer, inference_model
        image = np.random.randint(0, 256, (64, 80, 3), np.uint8)
        name = 'espikeformer-2.7m_sfa4_8xb256-200e_in1k'
        result, = ImageClassificationInferencer(name, pretrained=False)(image)
        assert result['pred_scores'].shape == (1000, )
        assert result['pred_scores'].sum() == pytest.approx(1, abs=1e-4)
        with pytest.raises(FileNotFoundError, match=f'no weights of {name}'):
            inference_model(name, image)

    @pytest.mark.parametrize('order', ['mmsnn mmpretrain', 'mmpretrain mmsnn'])
    def test_hub_knows_us_in_either_order_of_imports(self, order):
        found = run_python(
            'import importlib\n'
            'for name in sys.argv[1].split(): importlib.import_module(name)\n'
            'importlib.reload(sys.modules["mmsnn"])  # no second registration'
            '\nfrom mmpretrain import list_models\n'
            'print(*list_models("*spikeformer*"))', order)
        assert set(PUBLISHED) <= set(found.split())
        # Segmentors and detectors can't be built by mmpretrain's hub.
        others = {m['Name'] for m in MODELS
                  if m['Results'][0]['Task'] != 'Image Classification'}
        assert not others & set(found.split())


class TestImports:

    def test_import_alone_stays_light(self):
        loaded = run_python('import mmsnn; print(*sys.modules)').split()
        assert 'mmsnn' in loaded
        assert not {'torch', 'mmcv', 'mmpretrain', 'matplotlib'} & set(loaded)

    def test_only_what_extends_mmdet_needs_it(self):
        names = run_python("""
import importlib, pkgutil

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in ('mmdet', 'mmseg'):
            raise ModuleNotFoundError(f'{name} is blocked', name=name)

sys.meta_path.insert(0, Block())
try:
    import mmdet
except ModuleNotFoundError:
    print('blocked')
import mmsnn
for module in pkgutil.walk_packages(mmsnn.__path__, 'mmsnn.'):
    try:
        importlib.import_module(module.name)
        print(module.name)
    except ModuleNotFoundError as error:
        print(f'{module.name}:{error.name}')
""").split()
        assert 'blocked' in names
        assert 'mmsnn.models.backbones' in names
        assert [name for name in names if ':' in name] == [
            'mmsnn.datasets.event_sets.coco:mmdet',
            'mmsnn.models.data_preprocessors.event_mmdet:mmdet']

    @pytest.mark.parametrize('scope', ['mmdet', 'mmseg', 'mmpretrain'])
    def test_configs_may_be_based_on_frameworks(self, scope, tmp_path):
        pytest.importorskip(scope)
        config = tmp_path / 'config.py'
        config.write_text(f'_base_ = ["{scope}::_base_/default_runtime.py"]')
        assert Config.fromfile(config).default_scope == scope

    def test_a_model_may_be_based_on_ours(self, tmp_path):
        from mmpretrain import get_model
        name = 'espikeformer-2.7m_sfa4_8xb256-200e_in1k'
        config = tmp_path / 'config.py'
        config.write_text(f'_base_ = ["mmsnn::espikeformer/{name}.py"]\n'
                          'model = dict(head=dict('
                          'module=dict(num_classes=10)))\n')
        model = get_model(str(config))
        # 990 outputs fewer, each with 128 weights and a bias.
        assert sum(p.numel() for p in model.parameters()) == (
            PUBLISHED[name] - 990 * 129)

    def test_a_base_that_we_do_not_have_is_named(self, tmp_path):
        config = tmp_path / 'config.py'
        config.write_text('_base_ = ["mmsnn::espikeformer/none.py"]')
        with pytest.raises(FileNotFoundError, match='espikeformer/none.py'):
            Config.fromfile(config)


@pytest.fixture(scope='module')
def checkout(tmp_path_factory) -> Path:
    """A copy to build in, as a build leaves files behind."""
    copy = tmp_path_factory.mktemp('build') / 'checkout'
    shutil.copytree(
        ROOT, copy, symlinks=True, ignore=shutil.ignore_patterns(
            '.git', '.venv*', 'data', 'work_dirs', 'build', 'dist',
            '*.egg-info', '__pycache__', '.*_cache'))
    return copy


class TestDistributions:

    def expected(self) -> set:
        """Files that mim and users need, by their path in the package."""
        zoo = {f'mmsnn/.mim/{p.relative_to(ROOT)}'
               for folder in ('configs', 'tools')
               for p in (ROOT / folder).rglob('*')
               if p.is_file() and p.suffix != '.pyc'}
        code = {str(p.relative_to(ROOT))
                for p in (ROOT / 'mmsnn').rglob('*')
                if p.suffix in ('.py', '.c', '.yaml', '.j2', '.html')}
        return zoo | code | {'mmsnn/.mim/model-index.yml',
                             'mmsnn/.mim/dataset-index.yml'}

    def test_wheel(self, checkout):
        subprocess.run([
            sys.executable, '-m', 'pip', 'wheel', '--no-build-isolation',
            '--no-deps', '--no-index', '-q', '-w', 'dist', '.'],
            cwd=checkout, check=True)
        wheel, = (checkout / 'dist').glob('*.whl')
        with zipfile.ZipFile(wheel) as archive:
            names = archive.namelist()
            info = f'mmsnn_suite-{mmsnn.__version__}.dist-info'
            rows = archive.read(f'{info}/RECORD').decode().splitlines()
            config = archive.read(f'mmsnn/.mim/{MODELS[0]["Config"]}')
        assert self.expected() <= set(names)
        assert config == (ROOT / MODELS[0]['Config']).read_bytes()
        # mim takes the package's folder from the first row, once sorted by
        # pip at installation.
        assert sorted(rows)[0].startswith('mmsnn/')
        assert f'{info}/entry_points.txt' not in names
        assert f'{info}/licenses/LICENSE' in names
        assert not [n for n in names if n.endswith(('.pyc', '.so'))]
        assert not [n for n in names if n.split('/')[0] in ('tests', 'tools')]

    def test_sdist(self, checkout):
        subprocess.run([
            sys.executable, '-c', 'from setuptools import build_meta; '
            'build_meta.build_sdist("dist")'],
            cwd=checkout, check=True, capture_output=True)
        sdist, = (checkout / 'dist').glob('*.tar.gz')
        with tarfile.open(sdist) as archive:
            files = {m.name.partition('/')[2] for m in archive if m.isfile()}
            links = [m.name for m in archive if m.issym() or m.islnk()]
        assert self.expected() <= files
        assert {'constraints.txt', 'Makefile', 'LICENSE',
                'tests/test_packaging.py'} <= files
        assert not links

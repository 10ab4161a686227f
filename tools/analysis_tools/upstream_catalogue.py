"""Which configs of mmdet and mmseg are tried, and why the others are not.

Each of their config folders is an algorithm. One config of it is taken, the
shortest name with a ResNet-50, or those named here.
"""

import importlib.util
from pathlib import Path
from typing import NamedTuple

FRAMEWORKS = ('mmdet', 'mmseg')

#: Folders of which other configs are taken, or several.
CONFIGS = dict(
    mmdet=dict(
        cascade_rcnn=['cascade-mask-rcnn_r50_fpn_1x_coco'],
        cascade_rpn=['cascade-rpn_faster-rcnn_r50-caffe_fpn_1x_coco'],
        centernet=[
            'centernet_r18_8xb16-crop512-140e_coco',
            'centernet-update_r50-caffe_fpn_ms-1x_coco'
        ],
        cornernet=['cornernet_hourglass104_8xb6-210e-mstest_coco'],
        dcn=['faster-rcnn_r50_fpn_dpool_1x_coco'],
        dcnv2=['faster-rcnn_r50_fpn_mdpool_1x_coco'],
        efficientnet=['retinanet_effb3_fpn_8xb4-crop896-1x_coco'],
        guided_anchoring=['ga-retinanet_r50_fpn_1x_coco'],
        hrnet=['faster-rcnn_hrnetv2p-w18-1x_coco'],
        libra_rcnn=['libra-faster-rcnn_r50_fpn_1x_coco'],
        nas_fpn=['retinanet_r50_nasfpn_crop640-50e_coco'],
        reppoints=['reppoints-moment_r50_fpn_1x_coco'],
        rtmdet=['rtmdet_tiny_8xb32-300e_coco',
                'rtmdet-ins_tiny_8xb32-300e_coco'],
        sabl=['sabl-retinanet_r50_fpn_1x_coco',
              'sabl-faster-rcnn_r50_fpn_1x_coco'],
        solo=['solo_r50_fpn_1x_coco', 'decoupled-solo_r50_fpn_1x_coco'],
        yolo=['yolov3_d53_8xb8-320-273e_coco'],
        yolox=['yolox_tiny_8xb8-300e_coco']),
    mmseg=dict(
        hrnet=['fcn_hr18_4xb4-80k_ade20k-512x512'],
        knet=['knet-s3_r50-d8_fcn_8xb2-adamw-80k_ade20k-512x512'],
        pspnet=['pspnet_r50-d8_4xb4-80k_ade20k-512x512'],
        segmenter=['segmenter_vit-t_mask_8xb1-160k_ade20k-512x512'],
        setr=['setr_vit-l_naive_8xb2-160k_ade20k-512x512',
              'setr_vit-l_pup_8xb2-160k_ade20k-512x512'],
        upernet=['upernet_r50_4xb4-80k_ade20k-512x512']))

_BACKBONE = 'a backbone, in front of the neck and heads of '
_DATA = 'other data, weights or schedules for '
_VIDEO = 'reads videos, with a tracker behind a detector of this table'
_TEXT = ('reads text with BERT, which needs the package transformers and its '
         'weights')
_OWN = 'its heads read what only its own backbone returns'
_TEACHER = 'is trained by a second, trained detector'

#: Folders that are not tried, and why.
SKIPPED = dict(
    mmdet=dict(
        albu_example=f'{_DATA}mask_rcnn',
        bytetrack=_VIDEO,
        cityscapes=f'{_DATA}mask_rcnn',
        clrnet='finds lanes: other data, no boxes',
        common=f'{_DATA}mask_rcnn',
        convnext=f'{_BACKBONE}mask_rcnn',
        deepfashion=f'{_DATA}mask_rcnn',
        deepsort=_VIDEO,
        detectors='its neck holds a second backbone, which reads the image',
        dsdl=f'{_DATA}faster_rcnn',
        empirical_attention=f'{_BACKBONE}faster_rcnn',
        gcnet=f'{_BACKBONE}mask_rcnn',
        glip=_TEXT,
        grounding_dino=_TEXT,
        instaboost=f'{_DATA}mask_rcnn',
        lad=_TEACHER,
        ld=_TEACHER,
        legacy_1_x=f'{_DATA}mask_rcnn',
        lvis=f'{_DATA}mask_rcnn',
        mask2former_vis=_VIDEO,
        masktrack_rcnn=_VIDEO,
        misc='wraps a model of detectron2, another package',
        mm_grounding_dino=_TEXT,
        objects365=f'{_DATA}retinanet',
        ocsort=_VIDEO,
        openimages=f'{_DATA}retinanet',
        pascal_voc=f'{_DATA}retinanet',
        pvt=f'{_BACKBONE}retinanet',
        qdtrack=_VIDEO,
        regnet=f'{_BACKBONE}mask_rcnn',
        reid='tells persons in videos apart: a classifier of mmpretrain',
        res2net=f'{_BACKBONE}htc',
        resnest=f'{_BACKBONE}gn',
        resnet_strikes_back=f'{_DATA}mask_rcnn',
        scratch=f'{_DATA}gn',
        seesaw_loss=f'{_DATA}mask_rcnn',
        selfsup_pretrain=f'{_DATA}mask_rcnn',
        simple_copy_paste=f'{_DATA}gn',
        soft_teacher='learns from images without labels, in two branches',
        sort=_VIDEO,
        strong_baselines=f'{_DATA}gn',
        strongsort=_VIDEO,
        swin=f'{_BACKBONE}mask_rcnn',
        tridentnet=_OWN,
        timm_example=f'{_BACKBONE}retinanet',
        v3det=f'{_DATA}dino',
        wider_face=f'{_DATA}retinanet'),
    mmseg=dict(
        bisenetv1=f'{_BACKBONE}fcn',
        bisenetv2=f'{_BACKBONE}fcn',
        cgnet=f'{_BACKBONE}fcn',
        convnext=f'{_BACKBONE}upernet',
        ddrnet=_OWN,
        dpt='its head reads the tokens of a vision transformer',
        dsdl=f'{_DATA}deeplabv3',
        erfnet=f'{_BACKBONE}fcn',
        mae=f'{_BACKBONE}beit',
        mobilenet_v2=f'{_BACKBONE}fcn',
        pidnet=_OWN,
        poolformer=f'{_BACKBONE}sem_fpn',
        resnest=f'{_BACKBONE}fcn',
        san='reads text with CLIP, which needs its weights',
        swin=f'{_BACKBONE}upernet',
        twins=f'{_BACKBONE}upernet',
        unet=f'{_BACKBONE}fcn',
        vpd='needs the package diffusers and its weights'))
# Folders whose names are no Python names.
SKIPPED['mmdet']['legacy_1.x'] = SKIPPED['mmdet'].pop('legacy_1_x')
SKIPPED['mmdet']['gn+ws'] = f'{_DATA}gn'


class Entry(NamedTuple):
    """A config that is tried.

    Attributes:
        framework (str): ``'mmdet'`` or ``'mmseg'``.
        folder (str): The algorithm.
        config (Path): Of the framework's folder of configs.
    """

    framework: str
    folder: str
    config: Path

    @property
    def name(self) -> str:
        """Name of the row, ``FRAMEWORK/FOLDER/CONFIG`` without ending."""
        return f'{self.framework}/{self.folder}/{self.config.stem}'


def config_root(framework: str) -> Path:
    """Folder of a framework's configs, beside its package.

    Args:
        framework (str): Name of the package.

    Returns:
        Path: The folder.

    Raises:
        FileNotFoundError: If it is not installed, or has none.
    """
    spec = importlib.util.find_spec(framework)
    if spec is not None:
        package = Path(spec.origin).parent
        for root in (package / '.mim' / 'configs', package.parent / 'configs'):
            if root.is_dir():
                return root
    raise FileNotFoundError(f'{framework} is not installed with its configs')


def choose(framework: str, folder: Path) -> list[Path]:
    """The configs of an algorithm that are tried.

    Args:
        framework (str): Name of the package.
        folder (Path): Folder of the algorithm.

    Returns:
        list[Path]: One config or more; none where all are skipped.
    """
    if folder.name in SKIPPED[framework]:
        return []
    named = CONFIGS[framework].get(folder.name)
    if named is not None:
        return [folder / f'{name}.py' for name in named]
    return sorted(
        folder.glob('*.py'), key=lambda path:
        ('r50' not in path.name, len(path.name), path.name))[:1]


def catalogue() -> list[Entry]:
    """All configs that are tried.

    Returns:
        list[Entry]: In the order of the folders.
    """
    return [
        Entry(framework, folder.name, config)
        for framework in FRAMEWORKS
        for folder in sorted(config_root(framework).iterdir())
        if folder.is_dir() and folder.name != '_base_'
        for config in choose(framework, folder)
    ]

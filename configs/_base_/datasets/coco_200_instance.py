# 200 images of COCO in its own layout, short side 240: 100 to train on, 100
# to validate on.
_base_ = ['mmdet::_base_/datasets/coco_instance.py']
data_root = '{{$MMSNN_DATA:data}}/coco_200/'
resize = dict(type='Resize', scale=(426, 240), keep_ratio=True)
annotations = dict(
    type='LoadAnnotations', with_bbox=True, with_mask=True, poly2mask=False)
train_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    sampler=dict(_delete_=True, type='InfiniteSampler'),
    dataset=dict(
        data_root=data_root,
        pipeline=[
            dict(type='LoadImageFromFile'), annotations, resize,
            dict(type='PackDetInputs')
        ]))
val_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        data_root=data_root,
        pipeline=[
            dict(type='LoadImageFromFile'), resize, annotations,
            dict(
                type='PackDetInputs',
                meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape',
                           'scale_factor'))
        ]))
test_dataloader = val_dataloader
val_evaluator = dict(
    ann_file=data_root + 'annotations/instances_val2017.json')
test_evaluator = val_evaluator

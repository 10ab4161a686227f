# A small E-SpikeFormer classifier for 32 px: wide and shallow, which trains
# fastest on a CPU. A config says which neuron it has, in the backbone and in
# front of the linear layer; here, SFA with D = 4.
_base_ = ['../../../../configs/_base_/models/espikeformer.py']
model = dict(
    backbone=dict(
        arch=dict(
            _delete_=True, embed_dims=[64, 128, 128, 128],
            depths=[0, 0, 1, 1, 0], num_heads=8)),
    head=dict(
        mean_over_time=True,
        module=dict(num_classes=10, in_channels=128, topk=(1, ))))

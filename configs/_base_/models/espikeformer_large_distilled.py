# Large E-SpikeFormer with D = 8 that learns from CAFormer-B36 of timm
# (https://arxiv.org/abs/2210.13452), hard labels. The teacher gets the same
# normalised images: its mean and standard deviation are those of ImageNet.
_base_ = ['espikeformer_large.py']
model = dict(
    type='mmsnn.DistilledImageClassifier',
    teacher=dict(
        type='TimmClassifier',
        model_name='caformer_b36.sail_in22k_ft_in1k',
        pretrained=True),
    backbone=dict(neuron=dict(max_spikes=8)),
    head=dict(
        type='mmsnn.DistillationClsHead',
        neuron=dict(type='mmsnn.SFANeuron', max_spikes=8)))

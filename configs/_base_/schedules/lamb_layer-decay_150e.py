# The published fine-tuning: LAMB, 6e-4 per 256 images, decayed by 0.75 per
# layer, and an average of the weights with momentum 1 - 0.99996.
_base_ = ['lamb_200e.py']
optim_wrapper = dict(
    optimizer=dict(lr=6e-4 * 1024 / 256),
    constructor='LearningRateDecayOptimWrapperConstructor',
    paramwise_cfg=dict(
        layer_decay_rate=0.75,
        norm_decay_mult=0.,
        bias_decay_mult=0.,
        flat_decay_mult=0.))
train_cfg = dict(max_epochs=150)
custom_hooks = [dict(type='EMAHook', momentum=4e-5, priority='ABOVE_NORMAL')]
auto_scale_lr = dict(base_batch_size=1024)

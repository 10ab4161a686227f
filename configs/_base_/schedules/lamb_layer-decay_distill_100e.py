# The published distillation: 100 epochs at a learning rate of 1e-3, which is
# taken for that of the whole batch; the rest is as in fine-tuning.
_base_ = ['lamb_layer-decay_150e.py']
optim_wrapper = dict(optimizer=dict(lr=1e-3))
train_cfg = dict(max_epochs=100)

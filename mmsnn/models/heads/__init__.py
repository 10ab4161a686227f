from .distillation_cls_head import DistillationClsHead

__all__ = ['DistillationClsHead']

"""Heads of classifiers that mmpretrain does not have."""

from .distillation_cls_head import DistillationClsHead

__all__ = ['DistillationClsHead']

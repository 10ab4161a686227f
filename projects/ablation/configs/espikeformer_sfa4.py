_base_ = ['_base_/espikeformer.py', '_base_/recipe.py']

_base_ = ['_base_/metaspikeformer.py', '_base_/recipe.py']

"""The paper's Table 3: classification, detection and segmentation on PASCAL VOC.

What all training with labels shares is one floor up, in `transfer`.
"""

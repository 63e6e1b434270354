"""From files of pictures to batches on the host: finding, preparing, reading, cutting.

How batches reach devices is in `training`.
"""

"""Lens equation, cluster mass models, multiple images, critical curves and caustics.

Names are imported on first use (`__init__.pyi` lists them): a job loads only what it needs.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

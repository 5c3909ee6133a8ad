"""Whether a trained model keeps what its architecture promises, measured on test data.

One file per kind, and a line in `kinds.KINDS`; `kinds_of` says which kinds a model has,
`measure_file` writes them. Each kind has SAMPLE, what it is measured on, BASELINE, whether the
plain model is measured as well, PANELS, how its curves are drawn, and

    measure(subject: Trained, baseline: Trained | None, test: Loader, seed: int) -> Diagnostic

Names are imported on first use (`__init__.pyi` lists them): to know the kinds takes no torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

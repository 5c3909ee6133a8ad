from .checkpoint import load_checkpoint as load_checkpoint
from .online import OnlineInputs as OnlineInputs
from .predict import predict as predict
from .pretrain import pretrain as pretrain
from .probe import probe as probe
from .probe import with_probed_batch as with_probed_batch
from .train import train as train

from . import batched as batched
from . import batches as batches
from . import ensemble as ensemble
from . import evaluation as evaluation
from . import language_model as language_model
from . import networks as networks
from .loop import Step as Step
from .loop import training as training

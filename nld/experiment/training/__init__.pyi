from . import batched as batched
from . import batches as batches
from . import ensemble as ensemble
from . import evaluation as evaluation
from . import gradient_flow as gradient_flow
from . import networks as networks
from .loop import Step as Step
from .loop import training as training

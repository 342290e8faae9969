from . import batched as batched
from . import batches as batches
from . import devices as devices
from . import ensemble as ensemble
from . import networks as networks
from . import start as start

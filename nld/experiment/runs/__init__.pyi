from . import specs as specs
from .run import run as run
from .run_store import RunStore as RunStore
from .spec import Experiment as Experiment
from .spec import Sweep as Sweep
from .sweep import gather as gather
from .sweep import run_sweep as run_sweep
from .sweep import status as status

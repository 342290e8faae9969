from .catalogue import load as load
from .catalogue import names as names
from .catalogue import parameters as parameters
from .catalogue import show as show
from .recording.figure_record import Shown as Shown

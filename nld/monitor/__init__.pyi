from .diagnosis import Finding as Finding
from .diagnosis import findings as findings
from .monitor import Monitor as Monitor
from .monitor_record import load as load
from .monitor_record import save as save
from .optimizers import ADAPTERS as ADAPTERS
from .optimizers import Adapter as Adapter

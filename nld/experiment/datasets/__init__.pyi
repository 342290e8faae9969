from . import cache as cache
from . import data as data
from . import fetch as fetch
from . import unpack as unpack

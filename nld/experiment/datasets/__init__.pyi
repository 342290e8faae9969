from . import cache as cache
from . import data as data
from . import fetch as fetch
from . import source_text as source_text
from . import unpack as unpack

from . import arithmetic as arithmetic
from . import dependencies as dependencies
from . import lineage as lineage
from . import places as places
from . import provenance as provenance
from . import seals as seals
from . import store as store
from . import stored_results as stored_results

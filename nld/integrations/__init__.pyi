from . import lightning as lightning
from . import transformers as transformers
from .log_to import log_to as log_to

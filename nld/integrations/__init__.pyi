from .dashboards import log_to as log_to

from .param_groups import ParamGroups as ParamGroups
from .param_groups import param_groups as param_groups
from .scale_classes import Part as Part
from .scale_classes import Scale as Scale

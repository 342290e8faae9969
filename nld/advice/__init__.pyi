from .corrected_decay import CorrectedDecay as CorrectedDecay
from .corrected_decay import correct_decay as correct_decay
from .hold_norms import HeldNorms as HeldNorms
from .hold_norms import hold_norms as hold_norms
from .param_groups import ParamGroups as ParamGroups
from .param_groups import param_groups as param_groups
from .scale_classes import Part as Part
from .scale_classes import Scale as Scale

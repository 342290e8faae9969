from . import claims as claims
from . import compare as compare
from . import errors as errors
from . import experiment as experiment
from . import figures as figures
from . import finder as finder
from . import inference as inference
from . import learning_rules as learning_rules
from . import monitor as monitor
from . import paper as paper
from . import publish as publish
from . import results as results
from . import series as series
from . import symmetry as symmetry
from . import theory as theory
from .finder import Block as Block
from .finder import check_symmetries as check_symmetries
from .finder import count_conservation_laws as count_conservation_laws
from .finder import find_symmetries as find_symmetries
from .learning_rules import LearningRule as LearningRule
from .learning_rules import gradient_descent as gradient_descent
from .learning_rules import heavy_ball as heavy_ball
from .learning_rules import nesterov as nesterov
from .monitor import Monitor as Monitor
from .symmetry import Symmetry as Symmetry

__version__: str

from .block import Block as Block
from .block import Member as Member
from .check import Violation as Violation
from .check import check_symmetries as check_symmetries
from .find import Symmetries as Symmetries
from .find import find_symmetries as find_symmetries
from .find import table as table

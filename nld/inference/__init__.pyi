from .registration import FIRST_JUDGING_SEED as FIRST_JUDGING_SEED
from .registration import families as families
from .registration import registrations as registrations
from .ruling import Evidence as Evidence
from .ruling import rule as rule
from .verdict import Finding as Finding
from .verdict import Verdict as Verdict

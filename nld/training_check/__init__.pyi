from .check import check_training as check_training
from .findings import TOPICS as TOPICS
from .findings import Finding as Finding
from .findings import TrainingCheck as TrainingCheck
from .loop import TrainingLoop as TrainingLoop

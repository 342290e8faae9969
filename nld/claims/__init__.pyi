from .rulings import Ruling as Ruling
from .rulings import ledger as ledger
from .rulings import scoreboard as scoreboard

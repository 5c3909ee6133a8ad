from .kinds import kinds_of as kinds_of
from .measure import measure_file as measure_file

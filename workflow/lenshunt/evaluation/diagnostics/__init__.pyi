from .kinds import kinds_of as kinds_of
from .kinds import needs_baseline as needs_baseline
from .kinds import rests_on as rests_on
from .measure import measure_file as measure_file

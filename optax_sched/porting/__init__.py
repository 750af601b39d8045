"""From other libraries: their scheduler objects and their logs as schedules, their names as ours."""

from optax_sched.porting.identify import identify
from optax_sched.porting.matching import Match
from optax_sched.porting.port import port
from optax_sched.porting.read_log import read_log

__all__ = ["Match", "identify", "port", "read_log"]

for _public in (Match, identify, port, read_log):
    _public.__module__ = __name__

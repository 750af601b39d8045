"""From other libraries: their scheduler objects as schedules, their names as ours."""

from optax_sched.porting.port import port

__all__ = ["port"]

port.__module__ = __name__

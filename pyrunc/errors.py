"""The exceptions, with messages for the user. Imports nothing, because every hot path imports this module."""


class PyruncError(Exception):
    """Any failure that pyrunc reports, as one line: ``str()``. ``exit_status``: the exit status of the command line, 0
    for the command's usual status of a failure."""

    exit_status = 0


class SpecError(PyruncError):
    """config.json is wrong. ``where``: the place, such as ``process.rlimits[2].type``. ``why``: what is wrong there."""

    def __init__(self, where: str, why: str) -> None:
        super().__init__(f"{where}: {why}" if where else why)
        self.where = where
        self.why = why


class StepError(PyruncError):
    """The kernel refused a step of the plan.

    ``step``: its number. ``where``: the place in config.json that requires it. ``what``: the operation and the kernel's
    answer. ``errno``: that answer as a number, 0 if it is not from the kernel.
    """

    def __init__(self, step: int, where: str, what: str, errno: int = 0) -> None:
        super().__init__(f"{where}: {what}" if where else what)
        self.step = step
        self.where = where
        self.what = what
        self.errno = errno


class NoSuchContainer(PyruncError):
    """The state directory has no container with this id. Engines match the message (moby, containerd)."""

    def __init__(self, container_id: str) -> None:
        super().__init__(f'container "{container_id}" does not exist')


class ContainerExists(PyruncError):
    """A container with this id exists."""

    def __init__(self, container_id: str) -> None:
        super().__init__(f"container with given ID already exists: {container_id}")


class DamagedState(PyruncError):
    """state.json is damaged. Only `delete --force` can handle the container."""


class WrongStatus(PyruncError):
    """The container's status does not allow the command (such as ``start`` of a running container)."""


class NotRunning(WrongStatus):
    """The container's init has ended, or is ending. Engines match the message."""

    def __init__(self, words: str = "container not running") -> None:
        super().__init__(words)

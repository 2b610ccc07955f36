"""What can go wrong, in words a user can act on. Imports nothing: it is on every hot path."""


class PyruncError(Exception):
    """Any failure that pyrunc reports as one line, ``str()``. ``exit_status``: the command line's, where it is another
    one than the command's own for failures."""

    exit_status = 0


class SpecError(PyruncError):
    """config.json is wrong at ``where`` (a path such as ``process.rlimits[2].type``) because of ``why``."""

    def __init__(self, where: str, why: str) -> None:
        super().__init__(f"{where}: {why}" if where else why)
        self.where = where
        self.why = why


class StepError(PyruncError):
    """The kernel refused a step of the plan.

    ``step`` is its number, ``where`` the place in config.json that asked for it, ``what`` the attempt
    and the kernel's answer, ``errno`` that answer as a number (0 when it was not the kernel's).
    """

    def __init__(self, step: int, where: str, what: str, errno: int = 0) -> None:
        super().__init__(f"{where}: {what}" if where else what)
        self.step = step
        self.where = where
        self.what = what
        self.errno = errno


class NoSuchContainer(PyruncError):
    """The state directory has no container of this id. Engines match these words (moby, containerd)."""

    def __init__(self, container_id: str) -> None:
        super().__init__(f'container "{container_id}" does not exist')


class ContainerExists(PyruncError):
    """The id is taken."""

    def __init__(self, container_id: str) -> None:
        super().__init__(f"container with given ID already exists: {container_id}")


class DamagedState(PyruncError):
    """state.json is not what pyrunc wrote. Only `delete --force` goes on."""


class WrongStatus(PyruncError):
    """The container is not in a state in which this can be done (``start`` of a running one)."""


class NotRunning(WrongStatus):
    """Its init has ended, or is about to. Engines match the words."""

    def __init__(self, words: str = "container not running") -> None:
        super().__init__(words)

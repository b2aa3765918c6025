"""Errors that scenepress raises on purpose; anything else that escapes is a bug."""


class BitstreamError(ValueError):
    """The bytes of a `.press` file break a MUST rule of docs/spec."""


class FormatError(ValueError):
    """The bytes of somebody else's file are damaged, or use what this reader does not support."""


class TrainingError(RuntimeError):
    """Training cannot go on; the message says at which step."""


class LossWarning(UserWarning):
    """Something the source scene had could not be kept; the message says what and why."""


class DistillationWarning(LossWarning):
    """Distillation did not pay: what was written was not trained."""


class TargetError(ValueError):
    """No file of the wanted size or quality can be made of this scene; the message says what can."""

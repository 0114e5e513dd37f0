"""What can go wrong in the action, each with one line for the log."""


class ActionError(Exception):
    """The action cannot do what was asked; the text is one sentence for the log."""


class ApiError(ActionError):
    """The API did not do what was asked of it."""


class Denied(ApiError):
    """The token may not do this: read-only on pull requests from forks, a locked conversation."""


class Unsure(ApiError):
    """The answer to a request that makes something was lost: it may have been carried out or not."""

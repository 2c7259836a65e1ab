"""What goes wrong, as one line for a person: what is wrong, where, and what to do next.

FreshetError            exit code 1: it failed while running
└── ConfigurationError  exit code 2: the call or the configuration is wrong; nothing was started or written
"""


class FreshetError(Exception):
    """Something failed while running."""

    exit_code = 1


class ConfigurationError(FreshetError):
    """The call or the configuration is wrong; nothing was started, nothing was written."""

    exit_code = 2

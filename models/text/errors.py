"""What can be wrong with an encoder."""


class EncoderError(Exception):
    """An encoder cannot be had: which, where, and what to do."""

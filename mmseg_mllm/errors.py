"""Errors that a user can act on: each message says what is wrong, where, and what to do."""


class MMSegMLLMError(Exception):
    """Base of all errors raised on purpose by this package."""


class DataError(MMSegMLLMError):
    """A data file is missing, broken or contradicts another one."""


class ConfigError(MMSegMLLMError):
    """A config or an argument asks for something that does not exist or does not fit."""


class CheckpointError(MMSegMLLMError):
    """Weights are missing, unreadable, or belong to another model."""


class TrainingError(MMSegMLLMError):
    """A training can't go on by itself."""

"""The doctor: looks at everything that Freshet needs, changes nothing, and says what to do."""

from streams.doctor.check import Check
from streams.doctor.examination import CHECKS, examine, examine_without_settings

__all__ = ["CHECKS", "Check", "examine", "examine_without_settings"]

"""How much hypothesis tries: a little by default, a thousand runs a law in the slow profile."""

from hypothesis import HealthCheck, settings

_COMMON = {"deadline": None, "print_blob": True, "suppress_health_check": [HealthCheck.too_slow]}

settings.register_profile("quick", max_examples=40, **_COMMON)
settings.register_profile("slow", max_examples=1000, **_COMMON)
settings.load_profile("quick")

"""REST for traffic: rules, models that others serve, prompts that are kept, and thumbs."""

from slipway.traffic.api import externals, feedback, prompts, rules

urlpatterns = [
    *rules.urlpatterns,
    *externals.urlpatterns,
    *prompts.urlpatterns,
    *feedback.urlpatterns,
]

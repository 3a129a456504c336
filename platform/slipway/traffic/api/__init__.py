"""REST for traffic: `traffic` are the rules, `externals` the models that others serve."""

from slipway.traffic.api import externals, rules

urlpatterns = [*rules.urlpatterns, *externals.urlpatterns]

"""What other domains and the doors ask of capacity."""

from slipway.capacity.services.health import Health, compute, health
from slipway.capacity.services.queues import keep, queue_of

__all__ = ["Health", "compute", "health", "keep", "queue_of"]

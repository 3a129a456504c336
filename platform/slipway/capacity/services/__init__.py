"""What other domains and the doors ask of capacity."""

from slipway.capacity.services.health import Health, Machine, compute, health, machine
from slipway.capacity.services.queues import keep, queue_of

__all__ = ["Health", "Machine", "compute", "health", "keep", "machine", "queue_of"]

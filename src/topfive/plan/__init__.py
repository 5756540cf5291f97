"""What runs would take: device-hours, energy and disk of a command, or of the whole table.

Speeds are measured where a record or benchmarks/networks.csv has the network on such a device, and else estimated from
its multiply-adds (`speeds`); the devices stand in devices.yaml, what is counted of a training in trainings.jsonl.
"""

from topfive.plan.costs import Cost, cost
from topfive.plan.devices import Device, device

__all__ = ["Cost", "Device", "cost", "device"]

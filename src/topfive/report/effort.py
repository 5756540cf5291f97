"""What a number that nobody has measured here would take."""

from topfive.plan import cost

DEVICE = "h100"


def effort(command: str) -> str:
    """Device-hours of a command on one H100, as the planner has them without any record."""
    spent = cost(command, DEVICE)
    if spent is None:
        return ""
    hours = float(f"{spent.device_hours:.2g}")  # two digits are more than an estimate has
    return f"about {hours:,g} H100 hours{', estimated' if spent.estimated else ''}"

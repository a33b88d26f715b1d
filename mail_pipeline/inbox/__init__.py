"""The inbox: notifications, stored as they came before they are answered; see `receiver` and `landing`."""

RECEIVER_PATH = "/webhooks/nylas"
"""Where the receiver answers Nylas."""

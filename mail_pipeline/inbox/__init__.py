"""The inbox: notifications, stored as they came before they are answered; see `receiver` and `landing`."""

"""Between the kernel and the broker: how orders are priced, worked and watched."""

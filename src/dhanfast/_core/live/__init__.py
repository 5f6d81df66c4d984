"""What live trading adds to the native floor: requests to a broker, and what it says of them."""

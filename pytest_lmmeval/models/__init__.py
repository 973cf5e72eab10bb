"""The models under test: an interface, a registry and the endpoints and engines behind it."""

"""HTTP/1.1 as the endpoints need it: JSON bodies on connections that stay open."""

"""HTTP/1.1 on trio: names, addresses, TLS, connections, and the bytes on them."""
